"""A Node.js function at viewer-request, against workerd running the same rewrite.

    .venv/bin/python bench/bench_edge_functions.py

Each request is for ``/page.html``; the function makes ``/ward/page.html`` of it and adds a header; 1 KiB comes from the
cache (of ours) or from a map in memory (of workerd, which brings no cache). Server and load share the same two cores,
one after the other. Goals: at least 1.3 of workerd's rate, at most 0.3 ms added to the median. ``make peers`` installs
workerd.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_edge import HOST, ORIGIN, free_port, get, python, wait_for

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
EDGE = """
import asyncio, sys, uvloop
from pathlib import Path
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.functions import Functions, FunctionSettings
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.store.embedded import EmbeddedStore
folder, origin, host, zipped, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), sys.argv[5]
TRIGGERS = [{"EventType": "viewer-request", "LambdaFunctionARN": "arn:aws:lambda:us-east-1:000000000000:function:f:1"}]
CONFIG = {
    "Enabled": True,
    "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": {
        "HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all",
                             "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
                             "LambdaFunctionAssociations": {"Items": TRIGGERS if kind == "function" else []}},
}
async def main():
    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions", settings=FunctionSettings())
    await functions.start()
    config = {"Runtime": "nodejs20.x", "Handler": "index.handler"}
    await functions.install("f", "1", config, zipped.read_bytes())
    pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(HttpClient(), "BENCH1"), invoker=functions)
    pipeline.use({"E1": compile_plan("E1", host, CONFIG, MANAGED_CACHE)})
    listener = await listen_http(pipeline.handle)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
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
CAPNP = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = (modules = [ (name = "worker", esModule = embed "worker.js") ],
               compatibilityDate = "2026-01-01")) ],
  sockets = [ (name = "http", address = "127.0.0.1:%d", http = (), service = "main") ]
);
"""


@contextmanager
def edge(folder: Path, origin: int, kind: str) -> Iterator[tuple[int, int]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.js", FUNCTION)
    (folder / "f.zip").write_bytes(archive.getvalue())
    argv = (str(folder), str(origin), HOST, str(folder / "f.zip"), kind)
    with python(EDGE, None, *argv) as started:
        yield started


@contextmanager
def workerd(program: str, folder: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    (folder / "worker.js").write_text(WORKER)
    (folder / "config.capnp").write_text(CAPNP % port)
    with subprocess.Popen([program, "serve", str(folder / "config.capnp")]) as process:
        try:
            wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()


def processes(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for word in (task / "children").read_text().split():
            found += processes(int(word))
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and all that it started."""
    total = 0
    for each in processes(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def load(port: int, path: str, connections: int, seconds: int) -> tuple[float, int, float]:
    """Requests a second, their number, and the median in ms."""
    wrk = ["wrk", "-t1", f"-c{connections}", "--latency", "-H", f"Host: {HOST}", f"-d{seconds}"]
    done = subprocess.run([*wrk, f"http://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    number, unit = re.findall(r"50%\s+([\d.]+)(us|ms|s)", done.stdout)[0]
    median = float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
    return rate, int(re.findall(r"(\d+) requests in", done.stdout)[0]), median


def measure(name: str, port: int, pid: int, path: str = "/page.html") -> tuple[float, float]:
    """Requests a second with many connections, and the median in ms with one."""
    if len(get(port, path)) != 1024:
        raise RuntimeError(f"{name} does not serve the page")
    load(port, path, CONNECTIONS, 1)
    before = cpu(pid)
    rate, count, _ = load(port, path, CONNECTIONS, SECONDS)
    each = (cpu(pid) - before) / count * 1e6
    _, _, median = load(port, path, 1, 1)
    print(f"{name:<44} {rate:>8,.0f} a second  {each:6.1f} µs CPU each  p50 of one {median:6.3f} ms", flush=True)
    return rate, median


def find_workerd() -> str | None:
    installed = Path(__file__).parent.parent / ".peers" / "node_modules" / ".bin" / "workerd"
    return shutil.which("workerd") or (str(installed) if installed.exists() else None)


def main() -> None:
    if shutil.which("wrk") is None or shutil.which("node") is None:
        print("wrk or node is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as name, python(ORIGIN, None) as (origin, _):
        folder = Path(name)
        for each in ("plain", "function", "workerd"):
            (folder / each).mkdir()
        with edge(folder / "plain", origin, "plain") as (port, pid):
            _, plain = measure("littoral, no function", port, pid, "/ward/page.html")
        with edge(folder / "function", origin, "function") as (port, pid):
            ours, median = measure("littoral, Node.js at viewer-request", port, pid)
        print(f"the function adds {median - plain:.3f} ms to the median (goal: 0.3)")
        program = find_workerd()
        if program is None:
            print("workerd is not installed (make peers): no ratio")
            return
        with workerd(program, folder / "workerd") as (port, pid):
            theirs, _ = measure("workerd, the same rewrite", port, pid)
        print(f"littoral / workerd: {ours / theirs:.2f} of its rate (goal: 1.3)")


if __name__ == "__main__":
    main()
