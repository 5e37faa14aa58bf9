"""A cached 1 KiB behind a viewer-request rewrite: our edge with a CloudFront function, and workerd with the same one.

Each server has one core in its turn, wrk another. Ours parses the request, runs the function, looks the rewritten name
up in its cache and answers with all of the edge's headers; workerd runs the function on an event of the same shape and
answers from its memory. Prints requests a second, CPU of the server a request, what the function adds to a hit, and the
ratio. workerd is the npm package's program: on PATH, or named by WORKERD. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench_edge import CONNECTIONS, EDGE, HOST, ORIGIN, cpu, free_port, python, wait_for

SECONDS = 4
REWRITE = """
function handler(event) {
    var request = event.request;
    var uri = request.uri;
    if (uri.endsWith('/')) {
        request.uri += 'index.html';
    } else if (!uri.includes('.')) {
        request.uri += '/index.html';
    }
    return request;
}
"""
SCRIPTED = EDGE.replace(
    '"CachePolicyId":',
    '"FunctionAssociations": {"Items": [{"EventType": "viewer-request", "FunctionARN": "f"}]}, "CachePolicyId":',
).replace(
    "    pipeline.use(",
    "    from littoral.edge.cffunctions.functions import Script\n"
    f"    pipeline.functions.use({{'f': Script('f', {REWRITE!r}, 'cloudfront-js-2.0')}}, {{}})\n"
    "    pipeline.use(",
)
WORKER = (
    REWRITE
    + """
const body = 'x'.repeat(1024);
export default { async fetch(request) {
  const url = new URL(request.url), headers = {}, querystring = {};
  for (const [name, value] of request.headers) headers[name] = {value};
  for (const [name, value] of url.searchParams) querystring[name] = {value};
  const event = {version: '1.0', context: {eventType: 'viewer-request'}, viewer: {ip: '127.0.0.1'},
    request: {method: request.method, uri: url.pathname, querystring, headers, cookies: {}}};
  const made = handler(event);
  return new Response(body, {headers: {'content-type': 'text/html', 'x-uri': made.uri}});
}}
"""
)
CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2024-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")]);
"""


@contextmanager
def workerd(program: str, folder: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    (folder / "worker.js").write_text(WORKER)
    (folder / "config.capnp").write_text(CONFIG % port)
    command = ["taskset", "-c", "0", program, "serve", str(folder / "config.capnp")]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()


def measure(name: str, port: int, pid: int, path: str) -> tuple[float, float, float]:
    """Requests a second; microseconds of CPU for each; median latency with one connection, in microseconds."""
    url = f"http://127.0.0.1:{port}{path}"
    wrk = ["taskset", "-c", "1", "wrk", "-t1", "-H", f"Host: {HOST}", "-H", "Accept-Encoding: gzip", "--latency"]
    alone = subprocess.run([*wrk, "-c1", "-d2", url], check=True, capture_output=True, text=True).stdout
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-c{CONNECTIONS}", f"-d{SECONDS}", url], check=True, capture_output=True, text=True)
    used = cpu(pid) - before
    if "Non-2xx" in shown.stdout:
        raise RuntimeError(f"{name} failed requests:\n{shown.stdout}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown.stdout)[0])
    count = int(re.findall(r"(\d+) requests in", shown.stdout)[0])
    number, unit = re.findall(r"50%\s+([\d.]+)(us|ms|s)", alone)[0]
    median = float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
    print(
        f"{name:<28} {rate:>9,.0f} a second   {used / count * 1e6:6.1f} µs CPU each   median {median:,.0f} µs",
        flush=True,
    )
    return rate, used / count * 1e6, median


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    with ExitStack() as running:
        origin, _ = running.enter_context(python(ORIGIN, 1))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        with python(EDGE, 0, str(folder / "plain"), str(origin), HOST) as (port, pid):
            plain = measure("a hit without a function", port, pid, "/blog/index.html")
        with python(SCRIPTED, 0, str(folder / "scripted"), str(origin), HOST) as (port, pid):
            ours = measure("a hit behind a function", port, pid, "/blog")
        print(f"the function adds {ours[1] - plain[1]:.0f} µs of CPU and {ours[2] - plain[2]:.0f} µs to the median")
        program = os.environ.get("WORKERD") or shutil.which("workerd")
        if program is None:
            print("workerd is not installed: no ratio")
            return
        with workerd(program, folder) as (port, pid):
            theirs = measure("workerd, the same rewrite", port, pid, "/blog")
        rate, spent = ours[0] / theirs[0], ours[1] / theirs[1]
        print(f"littoral / workerd: {rate:.2f} of its rate, {spent:.2f} of its CPU a request")


if __name__ == "__main__":
    main()
