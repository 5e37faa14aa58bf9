"""A cache hit of 1 KiB over HTTP/1.1 keep-alive: our edge against nginx proxy_cache and Varnish.

Every cache runs on one core of its own turn, in front of the same origin; wrk runs on another core. Each cache is
asked twice before the measurement, so that what is measured is hits, and the origin's count proves it. Prints
requests a second, CPU of the cache per request, and our ratio to each peer. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SECONDS = 5
CONNECTIONS = 64
HOST = "d111111abcdef8.cloudfront.net"
PATH = "/ward/page.html"

ORIGIN = """
import asyncio, uvloop
from littoral.net.listen import listen_http
from littoral.net.message import Headers, Response
HEADERS = [(b"content-type", b"text/html"), (b"cache-control", b"max-age=3600"), (b"etag", b'"1"'),
           (b"last-modified", b"Mon, 23 Nov 2026 09:00:00 GMT")]
asked = 0
def handle(request):
    global asked
    if request.target == "/count":
        return Response(200, Headers([]), b"%d" % asked)
    asked += 1
    return Response(200, Headers(list(HEADERS)), b"x" * 1024)
async def main():
    listener = await listen_http(handle)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

EDGE = """
import asyncio, sys, uvloop
from pathlib import Path
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
folder, origin, host = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
CONFIG = {
    "Enabled": True,
    "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": {
        "HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all",
                             "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"},
    "Logging": {"Enabled": sys.argv[4:] == ["logs"], "Bucket": "logs.s3.amazonaws.com", "Prefix": "",
                "IncludeCookies": False},
}
class Nowhere:
    async def put(self, bucket, key, data):
        pass  # lines are made and zipped, by a process beside, and go nowhere
async def main():
    pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(HttpClient(), "BENCH1"), invoker=None)
    pipeline.access = AccessLogs(folder / "logs", "BENCH1", Nowhere(), 3600.0)
    await pipeline.access.start()
    pipeline.use({"E1": compile_plan("E1", host, CONFIG, MANAGED_CACHE)})
    listener = await listen_http(pipeline.handle)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log {log}; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache one; add_header X-Cache $upstream_cache_status; }}
  }}
}}
"""


@contextmanager
def python(program: str, core: int | None, *arguments: str) -> Iterator[tuple[int, int]]:
    """Port and process of one of our own servers, on that core or on any."""
    command = ["taskset", "-c", str(core)] if core is not None else []
    command += [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()


@contextmanager
def nginx(program: str, folder: Path, origin: int, log: str = "off") -> Iterator[tuple[int, int]]:
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, origin=origin, log=log))
    with subprocess.Popen(["taskset", "-c", "0", program, "-p", str(folder), "-c", str(configuration)]) as process:
        try:
            wait_for(port)
            yield port, worker_of(process.pid)
        finally:
            process.terminate()


@contextmanager
def varnish(program: str, folder: Path, origin: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = ["taskset", "-c", "0", program, "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin}"]
    command += ["-n", str(folder / "varnish"), "-s", "malloc,100m"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield port, max(children(process.pid), key=cpu)
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing listens on port {port}")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def worker_of(master: int) -> int:
    """nginx's one worker: the port is the master's, before it has one."""
    while not (workers := children(master)):
        time.sleep(0.01)
    return workers[0]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, all threads, and those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def get(port: int, path: str) -> bytes:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": HOST})
    with urllib.request.urlopen(asked) as answer:
        content: bytes = answer.read()
        return content


def measure(name: str, port: int, pid: int, origin: int) -> tuple[float, float]:
    """Requests a second, and microseconds of the cache's CPU for each."""
    for _ in range(2):
        if len(get(port, PATH)) != 1024:
            raise RuntimeError(f"{name} does not serve the object")
    fetched = get(origin, "/count")
    url = f"http://127.0.0.1:{port}{PATH}"
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", "-H", f"Host: {HOST}"]
    subprocess.run([*wrk, "-d1", url], check=True, capture_output=True)
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-d{SECONDS}", url], check=True, capture_output=True, text=True).stdout
    used = cpu(pid) - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"{name} failed requests:\n{shown}")
    if get(origin, "/count") != fetched:
        raise RuntimeError(f"{name} asked the origin again: these were not all hits")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0])
    count = int(re.findall(r"(\d+) requests in", shown)[0])
    print(f"{name:<20} {rate:>9,.0f} hits/s   {used / count * 1e6:5.1f} µs CPU each", flush=True)
    return rate, used / count * 1e6


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    peers: list[tuple[str, str, Callable[..., object]]] = [
        ("nginx proxy_cache", "nginx", nginx),
        ("Varnish", "varnishd", varnish),
    ]
    with ExitStack() as running:
        origin, _ = running.enter_context(python(ORIGIN, 1))
        with tempfile.TemporaryDirectory() as folder, python(EDGE, 0, folder, str(origin), HOST) as (port, pid):
            ours = measure("littoral", port, pid, origin)
        for name, command, start in peers:
            program = shutil.which(command) or shutil.which(command, path="/usr/sbin:/usr/local/sbin")
            if program is None:
                print(f"{name} is not installed: no ratio")
                continue
            with tempfile.TemporaryDirectory() as folder, start(program, Path(folder), origin) as (port, pid):  # type: ignore[attr-defined]
                Path(folder).chmod(0o755)
                theirs = measure(name, port, pid, origin)
            rate, spent = ours[0] / theirs[0], ours[1] / theirs[1]
            print(f"littoral / {name}: {rate:.2f} of its rate, {spent:.2f} of its CPU a request", flush=True)
        with_logs(origin)


def with_logs(origin: int) -> None:
    """The same with every request in an access log: ours is made, zipped and delivered nowhere, CPU and all."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    with tempfile.TemporaryDirectory() as folder, python(EDGE, 0, folder, str(origin), HOST, "logs") as (port, pid):
        ours = measure("littoral, logging", port, pid, origin)
    if program is not None:
        with tempfile.TemporaryDirectory() as folder:
            log = f"{folder}/access.log combined buffer=64k flush=1s"
            Path(folder).chmod(0o755)
            with nginx(program, Path(folder), origin, log) as (port, pid):
                theirs = measure("nginx, logging", port, pid, origin)
        rate, spent = ours[0] / theirs[0], ours[1] / theirs[1]
        print(f"littoral / nginx, both logging: {rate:.2f} of its rate, {spent:.2f} of its CPU a request", flush=True)


if __name__ == "__main__":
    main()
