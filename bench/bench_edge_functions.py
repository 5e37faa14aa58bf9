"""A Node.js function at viewer-request, against workerd running the same rewrite.

    .venv/bin/python bench/bench_edge_functions.py

Each request is for ``/page.html``; the function makes ``/ward/page.html`` of it and adds a header; 1 KiB comes from the
cache (of ours) or from a map in memory (of workerd, which brings no cache). Server and load share the same two cores,
one after the other. Goals: at least 1.3 of workerd's rate, at most 0.3 ms added to the median. ``make peers`` installs
workerd.

What is added to the median is asked by one connection of a client that waits for each answer, in turn with and without
the function, so that both meet the machine in the same phase. It is asked three times. With one request at a time the
processors sleep between the steps, and waking one costs more than the step (on a virtual machine 50 µs and more); so
the second time, in a virtual machine whose kernel can, they look for work for 200 µs before they sleep (``haltpoll``),
and the third time something of the lowest priority (SCHED_IDLE) keeps them awake, as any other traffic does. Beside
each stands what two processes of nothing but a socket pair need for a byte there and back. How often the threads of the
place and of the instance went to sleep is counted too, for each time one has to be woken: once for the instance and
twice for the place is the least.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from edge_server import edge, origin
from servers import HOST, Load, awake, get, polling, workerd, wrk

SECONDS = 4
CONNECTIONS = 32
FUNCTION = """
exports.handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.uri = '/ward' + request.uri;
  request.headers['x-ward'] = [{ key: 'X-Ward', value: '7' }];
  return request;
};
"""
WORKER = """
const pages = new Map([['/ward/page.html', 'x'.repeat(1024)]]);
export default {
  async fetch(request) {
    const url = new URL(request.url);
    url.pathname = '/ward' + url.pathname;
    const changed = new Request(url, request);
    changed.headers.set('x-ward', '7');
    const page = pages.get(new URL(changed.url).pathname);
    return new Response(page, { headers: { 'content-type': 'text/html', 'cache-control': 'max-age=3600' } });
  }
};
"""


def measure(name: str, running: AbstractContextManager[tuple[int, int]], path: str = "/page.html") -> Load:
    """The load of many connections."""
    with running as (port, pid):
        url = f"http://127.0.0.1:{port}{path}"
        if len(get(url)) != 1024:
            raise RuntimeError(f"{name} does not serve the page")
        found = wrk(url, pid, connections=CONNECTIONS, seconds=SECONDS, core=None)
    print(f"{name:<44} {found.rate:>8,.0f} a second  {found.spent:6.1f} µs CPU each", flush=True)
    return found


def latencies(servers: Sequence[tuple[int, str]], rounds: int = 9, requests: int = 300) -> list[list[float]]:
    """Median of each server (port, path) in each round, in ms."""
    found: list[list[float]] = [[] for _ in servers]
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for port, _ in servers]
        for _ in range(rounds):
            for medians, client, (_, path) in zip(found, clients, servers, strict=True):
                asked = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
                medians.append(statistics.median(_answered(client, asked) for _ in range(requests)) * 1000)
    return found


def _answered(client: socket.socket, asked: bytes) -> float:
    """Seconds until all of the page is there."""
    began, got = time.perf_counter(), b""
    client.sendall(asked)
    while not got.endswith(b"x" * 1024):
        got += client.recv(65536)
    return time.perf_counter() - began


def hop(requests: int = 3000) -> float:
    """Median, in ms, of a byte to another process and back."""
    here, there = socket.socketpair()
    with here, there:
        code = "import os\nwhile one := os.read(0, 1): os.write(0, one)"
        with subprocess.Popen([sys.executable, "-c", code], stdin=there.fileno()) as echo:
            there.close()
            took = statistics.median(_echoed(here) for _ in range(requests)) * 1000
            here.close()
            echo.wait()
    return took


def _echoed(there: socket.socket) -> float:
    began = time.perf_counter()
    there.send(b".")
    there.recv(1)
    return time.perf_counter() - began


def sleeps(pid: int, port: int, path: str, requests: int = 500) -> dict[str, float]:
    """How often the threads of a process and of what it started went to sleep, per request, by the program's name."""
    asked = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(requests):
            _answered(client, asked)
        before = _switches(pid)
        for _ in range(requests):
            _answered(client, asked)
    after = _switches(pid)
    return {name: (after[name] - before[name]) / requests for name in after if after[name] > before[name]}


def _switches(pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        found[status["Name"]] += int(status["voluntary_ctxt_switches"])
        for child in (task / "children").read_text().split():
            found += _switches(int(child))
    return found


def told(plain: list[float], called: list[float]) -> str:
    more = [one - other for one, other in zip(called, plain, strict=True)]
    middle, best = statistics.median(more), min(more)
    each = f"{statistics.median(plain):.3f} and {statistics.median(called):.3f} ms"
    return f"the function adds {middle:.3f} ms to the median, in the quietest round {best:.3f} (of {each}; goal: 0.3)"


def main() -> None:
    if shutil.which("wrk") is None or shutil.which("node") is None:
        print("wrk or node is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as name, origin(core=None) as behind:
        folder = Path(name)
        zipped = folder / "f.zip"
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("index.js", FUNCTION)
        measure("littoral, no function", edge(folder / "plain", behind, core=None), "/ward/page.html")
        ours = measure(
            "littoral, Node.js at viewer-request", edge(folder / "f", behind, "--function", str(zipped), core=None)
        )
        without = edge(folder / "without", behind, core=None)
        function = edge(folder / "with", behind, "--function", str(zipped), core=None)
        with without as (one, _), function as (other, pid):
            for port, path in (two := ((one, "/ward/page.html"), (other, "/page.html"))):
                get(f"http://127.0.0.1:{port}{path}")  # fill the cache
            print(f"processors that sleep (a hop {hop():.3f} ms): {told(*latencies(two))}", flush=True)
            counted = ", ".join(f"{name} {times:.2f}" for name, times in sleeps(pid, other, "/page.html").items())
            print(f"went to sleep, times a request: {counted}", flush=True)
            with polling() as polled:
                if polled:
                    print(f"polling before they sleep (a hop {hop():.3f} ms): {told(*latencies(two))}", flush=True)
            with awake():
                print(f"processors awake (a hop {hop():.3f} ms): {told(*latencies(two))}", flush=True)
        try:
            theirs = measure("workerd, the same rewrite", workerd(WORKER, None))
        except FileNotFoundError as missing:
            print(missing)
            return
        print(f"littoral / workerd: {ours.against(theirs)} (goal: 1.3 of its rate)")


if __name__ == "__main__":
    main()
