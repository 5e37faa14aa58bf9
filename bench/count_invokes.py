"""Instructions of the place for one warm invoke in process, counted by callgrind, which no neighbour changes.

    .venv/bin/python bench/count_invokes.py [py|js] [events]

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
from pathlib import Path

import uvloop

from bench_functions import EVENT, NODE_CODE, PYTHON_CODE, zip_of
from littoral.aws.invoke import Invocation
from littoral.functions import Functions, FunctionSettings, line, lookout
from littoral.site.lifecycle import settle
from littoral.store.embedded import EmbeddedStore

AT_ONCE = 8
CONFIGURATION = {
    "py": ({"Runtime": f"python3.{sys.version_info.minor}", "Handler": "app.handler"}, "app.py", PYTHON_CODE),
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
    await functions.install(name, "1", config, zip_of(file, code))
    invocation = Invocation(name, EVENT)
    left = 0

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await functions.invoke(invocation)

    async def run(count: int) -> None:
        nonlocal left
        left = count
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))

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
