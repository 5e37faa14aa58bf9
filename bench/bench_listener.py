"""The listener against nginx: a trivial answer of 1 KiB, keep-alive, one core for the server and one for wrk.

Prints requests a second of each and the ratio; the CPU time of the server process for a request tells more than the
rate when the machine is busy. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 5
CONNECTIONS = 64
BODY = b"x" * 1024

SERVER = f"""
import asyncio, uvloop
from littoral.net.listen import listen_http
from littoral.net.message import Headers, Response
HEADERS = Headers([(b"content-type", b"text/plain")])
BODY = b"x" * {len(BODY)}
async def later(request):
    return Response(200, HEADERS, BODY)
def handle(request):
    return later(request) if request.target == "/later" else Response(200, HEADERS, BODY)
async def main():
    listener = await listen_http(handle)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}
}}
"""


@contextmanager
def littoral() -> Iterator[tuple[int, int]]:
    """Port and process of our listener."""
    command = ["taskset", "-c", "0", sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and worker process of nginx."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, body=BODY.decode()))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with subprocess.Popen(["taskset", "-c", "0", program, "-p", str(folder), "-c", str(configuration)]) as process:
        try:
            worker = wait_for_child(process.pid)
            yield port, worker
        finally:
            process.terminate()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(500):
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError("nginx made no worker")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, port: int, pid: int, path: str = "/") -> tuple[float, float]:
    """Requests a second, and microseconds of server CPU for each."""
    url = f"http://127.0.0.1:{port}{path}"
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}"]
    subprocess.run([*wrk, "-d1", url], check=True, capture_output=True)
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-d{SECONDS}", url], check=True, capture_output=True, text=True).stdout
    used = cpu(pid) - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"{name} failed requests:\n{shown}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0])
    count = int(re.findall(r"(\d+) requests in", shown)[0])
    print(f"{name:<28} {rate:>9,.0f} requests/s   {used / count * 1e6:5.1f} µs CPU each")
    return rate, used / count * 1e6


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    with littoral() as (port, pid):
        ours = measure("littoral, answered at once", port, pid)
        measure("littoral, answered by a task", port, pid, "/later")
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        print("nginx is not installed: no ratio")
        return
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder)) as (port, pid):
        theirs = measure("nginx, return 200", port, pid)
    print(f"littoral / nginx: {ours[0] / theirs[0]:.2f} of its rate, {ours[1] / theirs[1]:.2f} of its CPU a request")


if __name__ == "__main__":
    main()
