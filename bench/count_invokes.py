"""Instructions of the place for one warm invoke in process, counted by callgrind, which no neighbour changes.

    .venv/bin/python bench/count_invokes.py [py|js|api] [events]

``api`` is a Python function through the signed API: 8 connections, each request with a signature of its own. What they
read is handed to them, so the kernel's part and the transport's are not in it.

The place runs under valgrind, some fifty times slower than its instances, which run as they are: so their answers have
always come when it looks. What goes by the clock is put right for that: no look at those who wait, and 50 µs for an
event where the time is written down. Counted is everything in the place: its loop, what its callers add, the thread
that writes logs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench_functions import EVENT, NODE_CODE, PYTHON_CODE, signed, zip_of
from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey, Identity
from littoral.aws.invoke import Invocation
from littoral.functions import Functions, FunctionSettings, line, lookout
from littoral.net.listen import HttpService
from littoral.site.lifecycle import settle
from littoral.store.embedded import EmbeddedStore

AT_ONCE = 8
Call = Callable[[int], Awaitable[object]]
PYTHON = ({"Runtime": f"python3.{sys.version_info.minor}", "Handler": "app.handler"}, "app.py", PYTHON_CODE)
CONFIGURATION = {
    "py": PYTHON,
    "api": PYTHON,
    "js": ({"Runtime": "nodejs20.x", "Handler": "index.handler"}, "index.js", NODE_CODE),
}


async def inside(name: str, events: int, folder: Path) -> None:
    lookout.LOOK = 3600.0
    line.PATIENCE = 3600.0
    store = await EmbeddedStore.open(folder / "store")
    clock = itertools.count(time.time(), 0.000025).__next__  # asked twice an event
    functions = await Functions.open(store, folder / "functions", settings=FunctionSettings(), clock=clock)
    await functions.start()
    config, file, code = CONFIGURATION[name]
    await functions.install("py" if name == "api" else name, "1", config, zip_of(file, code))
    call = await signed_calls(functions, 1200 + events) if name == "api" else direct_call(functions, name)
    left = 0

    async def caller(place: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call(place)

    async def run(count: int) -> None:
        nonlocal left
        left = count
        await asyncio.gather(*(caller(place) for place in range(AT_ONCE)))

    await run(1200)  # until it is known as quick and silent
    settle()
    await functions.logs.flush()
    _control("on")
    await run(events)
    await functions.logs.flush()
    _control("off")
    print(f"{functions.stats()['idle']} instances")
    await functions.close()
    await store.close()


def direct_call(functions: Functions, name: str) -> Call:
    invocation = Invocation(name, EVENT)
    return lambda _: functions.invoke(invocation)


async def signed_calls(functions: Functions, count: int) -> Call:
    """Each caller has its connection; a call is over when its answer is written."""
    identity = Identity(AccessKey("AKIATESTTESTTESTTEST", "s" * 40), "0" * 12, verify=True)
    gateway = Gateway({"lambda": functions.api}, identity, region="us-east-1", account="0" * 12)
    gateway.host_route(functions.by_host(gateway.authenticate))
    service = HttpService(gateway.handle)
    requests = iter([signed(4566, identity.root.id, identity.root.secret, {"amz-sdk-invocation-id": f"{each:032x}"})
                     for each in range(count)])  # fmt: skip
    clients = [(service.connection(), Written(service.loop)) for _ in range(AT_ONCE)]
    for connection, transport in clients:
        connection.connection_made(transport)

    def call(place: int) -> Awaitable[object]:
        connection, transport = clients[place]
        written = transport.expect()
        connection.data_received(next(requests))
        return written

    return call


class Written(asyncio.Transport):
    """A transport of which is only known that an answer was written to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._loop = loop
        self._answer: asyncio.Future[None] = loop.create_future()

    def expect(self) -> asyncio.Future[None]:
        self._answer = self._loop.create_future()
        return self._answer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert bytes(data).startswith(b"HTTP/1.1 200"), data
        self._answer.set_result(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def _control(what: str) -> None:
    subprocess.run(["callgrind_control", "-i", what, str(os.getpid())], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    logging.disable(logging.WARNING)
    if sys.argv[1:2] == ["--inside"]:
        uvloop.run(inside(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
        return
    name = sys.argv[1] if len(sys.argv) > 1 else "py"
    events = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with tempfile.TemporaryDirectory() as folder:
        out = os.environ.get("CALLGRIND_OUT", f"{folder}/callgrind.out")
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        done = subprocess.run(
            [*valgrind, sys.executable, __file__, "--inside", name, str(events), folder],
            check=True,
            capture_output=True,
        )
        counted = int(re.findall(r"^totals: (\d+)", Path(out).read_text(), re.M)[-1])
        print(f"{name}: {counted / events / 1000:.1f} thousand instructions an event; {done.stdout.decode().strip()}")


if __name__ == "__main__":
    main()
