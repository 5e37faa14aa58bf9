"""Functions: cold and warm starts against a fresh process per call.

    .venv/bin/python bench/bench_functions.py

Ours runs in this process on uvloop, on the embedded store in a temporary folder, each instance in its sandbox; the
peers are what one would do without a cloud: start the interpreter, load the handler, run one event; and AWS's own
Python runtime client, started for one event. ``moto`` is no peer: without Docker its Lambda runs no code.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import uvloop

from littoral.aws.invoke import Invocation
from littoral.functions import Functions, FunctionSettings
from littoral.site.lifecycle import settle
from littoral.store.embedded import EmbeddedStore

PYTHON_CODE = "import json, logging\ndef handler(event, context):\n    return {'bed': event['bed'], 'ok': True}\n"
NODE_CODE = "exports.handler = async (event) => ({ bed: event.bed, ok: true });\n"
EVENT = b'{"bed": 7}'
ANSWER = {"bed": 7, "ok": True}
CORES = sorted(os.sched_getaffinity(0))


def zip_of(name: str, content: str | bytes) -> bytes:
    """One file that may be executed."""
    buffer = io.BytesIO()
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, content)
    return buffer.getvalue()


def line(what: str, seconds: list[float], ratio: str = "") -> None:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000
    print(f"{what:<58} p50 {p50:8.2f} ms  p99 {p99:8.2f} ms  n {len(ordered):5d}  {ratio}")


def fresh(argv: list[str], count: int) -> list[float]:
    """A new process for every event."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        done = subprocess.run(argv, input=EVENT, capture_output=True, check=True)
        took.append(time.perf_counter() - began)
        assert json.loads(done.stdout) == {"bed": 7, "ok": True}
    return took


async def cold(
    functions: Functions, name: str, count: int, settle: Callable[[], Awaitable[None]], answer: object = ANSWER
) -> list[float]:
    """Every event finds no instance; ours from the call to the answer."""
    took = []
    for _ in range(count):
        functions._parts.scheduler.reap(time.monotonic() + 1e9)
        await settle()
        began = time.perf_counter()
        result = await functions.invoke(Invocation(name, EVENT))
        took.append(time.perf_counter() - began)
        assert result.cold and json.loads(result.payload) == answer, result
    return took


async def warm(functions: Functions, name: str, at_once: int, seconds: float) -> tuple[float, list[float]]:
    """Events a second, and the time of each."""
    took: list[float] = []
    invocation = Invocation(name, EVENT)
    until = time.perf_counter() + seconds

    async def caller() -> None:
        while (began := time.perf_counter()) < until:
            await functions.invoke(invocation)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(functions.invoke(invocation) for _ in range(at_once)))
    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return len(took) / (time.perf_counter() - began), took


async def bench(folder: Path) -> None:
    node = await asyncio.to_thread(_node)
    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions", settings=FunctionSettings())
    await functions.start()
    try:
        version = f"3.{sys.version_info.minor}"
        config = {"Runtime": f"python{version}", "Handler": "app.handler"}
        await functions.install("py", "1", config, zip_of("app.py", PYTHON_CODE))
        await cold_python(functions, folder)
        await cold_program(functions, folder)
        if node:
            config = {"Runtime": "nodejs20.x", "Handler": "index.handler"}
            await functions.install("js", "1", config, zip_of("index.js", NODE_CODE))
            await cold_node(functions, folder, node)
        else:
            print("no node on PATH: Node.js rows skipped")
        for name in ("py", "js") if node else ("py",):
            for at_once in (1, 8):
                rate, took = await warm(functions, name, at_once, 3.0)
                line(f"warm {name}, in process, {at_once} at once", took, f"{rate:8.0f} a second")
        await idle_memory(functions, ("py", "js") if node else ("py",))
        settle()  # as a place does, once it is ready
        for name in ("py", "js") if node else ("py",):
            for at_once in (8, 32):
                await two_cores(functions, name, at_once)
        await one_core(functions)
        await asyncio.to_thread(through_the_api, folder / "api")
        print("moto: its Lambda needs Docker to run code (the back end without Docker runs none): skipped")
    finally:
        await functions.close()
        await store.close()


async def cold_python(functions: Functions, folder: Path) -> None:
    ours = await cold(functions, "py", 200, lambda: asyncio.sleep(0.02))
    line("cold py, in process (fork of the zygote)", ours, "goal 8 ms")
    script = folder / "app.py"
    script.write_text(PYTHON_CODE)
    run = f"import sys, json; sys.path.insert(0, {str(folder)!r}); import app; "
    run += "print(json.dumps(app.handler(json.load(sys.stdin), None)))"
    theirs = await asyncio.to_thread(fresh, [sys.executable, "-c", run], 40)
    line("peer: python -c, a process per event", theirs, _ratio(theirs, ours))
    client = [sys.executable, "-m", "awslambdaric", "app.handler"]
    theirs = await asyncio.to_thread(from_runtime_api, client, folder, 25)
    line("peer: awslambdaric, a process per event", theirs, _ratio(theirs, ours))
    await cold_bare(folder)


async def cold_bare(folder: Path) -> None:
    """What the sandbox costs."""
    store = await EmbeddedStore.open(folder / "bare-store")
    functions = await Functions.open(store, folder / "bare", settings=FunctionSettings(isolated=False))
    await functions.start()
    config = {"Runtime": f"python3.{sys.version_info.minor}", "Handler": "app.handler"}
    await functions.install("py", "1", config, zip_of("app.py", PYTHON_CODE))
    took = await cold(functions, "py", 200, lambda: asyncio.sleep(0.02))
    line("cold py, in process, --insecure-no-sandbox", took)
    await functions.close()
    await store.close()


async def cold_program(functions: Functions, folder: Path) -> None:
    """A runtime of one's own: what the place adds to the start of the program itself."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler: provided rows skipped")
        return
    source = Path(__file__).parent.parent / "tests" / "functions" / "bootstrap.c"
    program = folder / "bootstrap"
    command = [compiler, "-O2", "-w", "-o", str(program), str(source)]
    await asyncio.to_thread(subprocess.check_call, command)
    config = {"Runtime": "provided.al2023", "Handler": "none"}
    await functions.install("program", "1", config, zip_of("bootstrap", program.read_bytes()))
    ours = await cold(functions, "program", 100, lambda: asyncio.sleep(0.02), answer=json.loads(EVENT))
    line("cold provided (a C program), in process", ours)
    bare = await asyncio.to_thread(from_runtime_api, [str(program)], folder, 50)
    added = (statistics.median(ours) - statistics.median(bare)) * 1000
    line("the same program against a bare Runtime API", bare, f"the place adds {added:.1f} ms; goal 15")


def from_runtime_api(argv: list[str], folder: Path, count: int) -> list[float]:
    """A new process for every event, which it asks for and answers over the Runtime API."""
    answered = threading.Event()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if answered.is_set():  # the second question has no answer
                return
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:py")
            self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(EVENT)))
            self.end_headers()
            with contextlib.suppress(OSError):  # asked by the process before, which is dead
                self.wfile.write(EVENT)

        def do_POST(self) -> None:
            assert json.loads(self.rfile.read(int(self.headers["Content-Length"])))["bed"] == 7
            answered.set()
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    about = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "LAMBDA_TASK_ROOT": str(folder)}
    about |= {"AWS_LAMBDA_FUNCTION_NAME": "py", "AWS_LAMBDA_FUNCTION_VERSION": "1", "_HANDLER": "app.handler"}
    about |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_REGION": "us-east-1"}
    about |= {"AWS_LAMBDA_LOG_STREAM_NAME": "s", "PATH": os.environ["PATH"]}
    took = []
    for _ in range(count):
        answered.clear()
        began = time.perf_counter()
        with subprocess.Popen(argv, env=about, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            assert answered.wait(10), f"{argv[0]} did not answer"
            took.append(time.perf_counter() - began)
            run.kill()
    server.shutdown()
    return took


async def cold_node(functions: Functions, folder: Path, node: str) -> None:
    async def booted() -> None:
        """The spare process is there and has done its start: that is what a place has in hand when a call comes."""
        await asyncio.sleep(0.5)

    ours = await cold(functions, "js", 15, booted)
    line("cold js, in process (booted spare)", ours, "goal 30 ms")
    script = folder / "index.js"
    script.write_text(NODE_CODE)
    run = f"require({str(script)!r}).handler(JSON.parse(require('fs').readFileSync(0)))"
    run += ".then((r) => console.log(JSON.stringify(r)))"
    theirs = await asyncio.to_thread(fresh, [node, "-e", run], 25)
    line("peer: node -e, a process per event", theirs, _ratio(theirs, ours))


async def idle_memory(functions: Functions, names: tuple[str, ...]) -> None:
    """What an instance that has served holds alone, its init and its process together."""
    for name in names:
        await functions.invoke(Invocation(name, EVENT))
        pool = next(pool for pool in functions._parts.scheduler._pools.values() if pool.version.name == name)
        pids = [pid for pid in (pool.idle[-1].process.first, pool.idle[-1].process.pid) if pid is not None]
        print(f"an idle instance of {name} has {sum(map(_private, pids)) / 1024:.1f} MiB of its own; goal 8 (py)")


def _private(pid: int) -> int:
    """KiB that no other process maps."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(each.split()[1]) for each in lines if each.startswith("Private_"))


async def two_cores(functions: Functions, name: str, at_once: int) -> None:
    """The place on one core, keeper and instances on another, and what an event costs each of them. On a busy machine
    caches are cold and rates are others', so the quietest of the quarter seconds is told as well."""
    if len(CORES) < 2:
        return
    _pin([os.getpid()], {CORES[0]})
    _pin(_descendants(os.getpid()), {CORES[1]})
    await warm(functions, name, at_once, 0.5)
    times: list[float] = []
    place: list[float] = []  # seconds of processor an event, in each quarter of a second
    instances: list[float] = []
    rates: list[float] = []
    for _ in range(16):
        others = _descendants(os.getpid())  # and what was started meanwhile
        before = time.process_time(), _ran(others)
        rate, took = await warm(functions, name, at_once, 0.25)
        count = len(took) + at_once  # and those that warm it
        place.append((time.process_time() - before[0]) / count)
        instances.append((_ran(others) - before[1]) / count)
        rates.append(rate)
        times += took
    what = f"warm {name}, in process, {at_once} at once, one core for the place"
    line(what, times, f"{statistics.median(rates):8.0f} a second, best {max(rates):.0f}; goal 20000")
    for whose, each in (("place", place), ("instances", instances)):
        middle, best = statistics.median(each), min(each)
        cpu = f"{middle * 1e6:6.1f} µs, quietest {best * 1e6:5.1f} µs"
        print(f"    CPU an event, {whose:<9} {cpu}: {1 / middle:.0f}, {1 / best:.0f} a second of its core; goal 50 µs")
    _pin([os.getpid(), *_descendants(os.getpid())], set(CORES))


def _ran(pids: list[int]) -> float:
    """Seconds of processor that these processes have used, exactly (Linux)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


async def one_core(functions: Functions) -> None:
    """Place, keeper and instances together on one core."""
    pids = [os.getpid(), *_descendants(os.getpid())]
    _pin(pids, {CORES[0]})
    rate, took = await warm(functions, "py", 8, 3.0)
    line("warm py, in process, 8 at once, all on one core", took, f"{rate:8.0f} a second")
    _pin(pids, set(CORES))


def _pin(pids: list[int], cores: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


# ------------------------------------------------------------------------------------ through the signed HTTP API


async def serve(folder: Path) -> None:
    """A place with one warm function, until standard input ends. Says where it listens and how to sign."""
    from littoral.aws.gateway import Gateway
    from littoral.aws.identity import Identity
    from littoral.net.listen import listen_http

    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions")
    await functions.start()
    settle()
    await functions.install(
        "py",
        "1",
        {"Runtime": f"python3.{sys.version_info.minor}", "Handler": "app.handler"},
        zip_of("app.py", PYTHON_CODE),
    )
    identity = await Identity.open(store.records("identity"))
    gateway = Gateway({"lambda": functions.api}, identity, region="us-east-1", account="000000000000")
    gateway.host_route(functions.by_host(gateway.authenticate))  # function URLs, as in a real place
    listener = await listen_http(gateway.handle)
    print(json.dumps([listener.port, identity.root.id, identity.root.secret]), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await listener.close(1.0)
    await functions.close()
    await store.close()


def through_the_api(folder: Path) -> None:
    """Place, keeper and instances on one core; the client, with requests signed beforehand, on another."""
    argv = ["taskset", "-c", str(CORES[0]), sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None and server.stdin is not None
        port, key, secret = json.loads(server.stdout.readline())
        request = signed(port, key, secret)
        uvloop.run(load(port, request, 16, 0.5))
        for connections in (1, 16):
            before = _cpu(server.pid)
            rate, took = uvloop.run(load(port, request, connections, 3.0))
            each = (_cpu(server.pid) - before) / len(took)
            what = f"warm py, signed HTTP API, {connections} connections, one core"
            cpu = f"{each * 1e6:.0f} µs CPU each, {1 / each:.0f} a second of CPU; goal 3000"
            line(what, took, f"{rate:8.0f} a second; {cpu}")
        server.stdin.close()


def _cpu(pid: int) -> float:
    """Seconds of processor that a process and all it started have used."""
    total = 0
    for each in [pid, *_descendants(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def signed(port: int, key: str, secret: str, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """One Invoke as bytes; a signature may be used again within its minutes. ``more`` headers are signed as well."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = f"http://127.0.0.1:{port}/2015-03-31/functions/py/invocations"
    request = AWSRequest("POST", url, data=EVENT, headers={"Host": f"127.0.0.1:{port}", **more})
    SigV4Auth(Credentials(key, secret), "lambda", "us-east-1").add_auth(request)
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    head = f"POST /2015-03-31/functions/py/invocations HTTP/1.1\r\n{headers}Content-Length: {len(EVENT)}\r\n\r\n"
    return head.encode() + EVENT


async def load(port: int, request: bytes, connections: int, seconds: float) -> tuple[float, list[float]]:
    took: list[float] = []

    async def connection(until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(size)) == {"bed": 7, "ok": True}
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection(began + seconds) for _ in range(connections)))
    return len(took) / (time.perf_counter() - began), took


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for word in (task / "children").read_text().split():
            found += [int(word), *_descendants(int(word))]
    return found


def _ratio(theirs: list[float], ours: list[float]) -> str:
    return f"ours is {statistics.median(theirs) / statistics.median(ours):.1f} times as quick"


def _node() -> str | None:
    return shutil.which("node")


def main() -> None:
    logging.disable(logging.WARNING)
    if sys.argv[1:2] == ["--serve"]:
        uvloop.run(serve(Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(bench(Path(folder)))


if __name__ == "__main__":
    main()
