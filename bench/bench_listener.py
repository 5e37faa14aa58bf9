"""The listener against nginx: a trivial answer of 1 KiB, keep-alive, one core for the server and one for wrk.

Prints requests a second of each, the CPU time of the server process for a request (user and system; it tells more
than the rate when the machine is busy) and the ratio. Two lines bound what can be gained: a bare uvloop protocol that
parses nothing and writes the same bytes, and heads that differ on every request (``wrk`` without a script repeats
one). Ends within a minute; leaves no process.
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

SECONDS = 4
CONNECTIONS = 64
BODY = b"x" * 1024

SERVER = f"""
import asyncio, uvloop
from littoral.net.listen import listen_http
from littoral.net.message import Headers, Response
from littoral.protocols.http1 import prepared_head
HEADERS = Headers([(b"content-type", b"text/plain")])
BODY = b"x" * {len(BODY)}
PREPARED = prepared_head(200, HEADERS.raw)
async def later(request):
    return Response(200, HEADERS, BODY)
def handle(request):
    if request.target == "/prepared":
        return Response(200, body=BODY, prepared=PREPARED)
    return later(request) if request.target == "/later" else Response(200, HEADERS, BODY)
async def main():
    listener = await listen_http(handle)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

BARE = f"""
import asyncio, uvloop
ANSWER = (
    b"HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ndate: Mon, 01 Jan 2024 00:00:00 GMT\\r\\n"
    b"content-length: {len(BODY)}\\r\\n\\r\\n" + b"x" * {len(BODY)}
)
class Bare(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

# Nothing of a head but its first line comes again.
DIFFERENT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/" .. n, {["X-Number"] = n})
end
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
def python(program: str) -> Iterator[tuple[int, int]]:
    """Port and process of a server in Python."""
    command = ["taskset", "-c", "0", sys.executable, "-c", program]
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


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of CPU that a process has used: in user space, in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK"), int(fields[12]) / os.sysconf("SC_CLK_TCK")


def measure(name: str, port: int, pid: int, path: str = "/", script: str | None = None) -> tuple[float, float]:
    """Requests a second, and microseconds of server CPU for each."""
    url = f"http://127.0.0.1:{port}{path}"
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", *(("-s", script) if script else ())]
    subprocess.run([*wrk, "-d1", url], check=True, capture_output=True)
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-d{SECONDS}", url], check=True, capture_output=True, text=True).stdout
    user, system = (after - earlier for after, earlier in zip(cpu(pid), before, strict=True))
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"{name} failed requests:\n{shown}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0])
    count = int(re.findall(r"(\d+) requests in", shown)[0])
    each, ours, kernel = (1e6 * part / count for part in (user + system, user, system))
    print(f"{name:<31} {rate:>8,.0f} requests/s  {each:5.1f} µs CPU each (user {ours:4.1f}, system {kernel:4.1f})")
    return rate, each


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    with python(BARE) as (port, pid):
        measure("uvloop alone, no HTTP", port, pid)
    with python(SERVER) as (port, pid), tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(DIFFERENT)
        script.flush()
        ours = measure("littoral, answered at once", port, pid)
        measure("littoral, with a prepared head", port, pid, "/prepared")
        measure("littoral, every head different", port, pid, script=script.name)
        measure("littoral, answered by a task", port, pid, "/later")
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        print("nginx is not installed: no ratio")
        return
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder)) as (port, pid):
        theirs = measure("nginx, return 200", port, pid)
    print(f"littoral / nginx: {ours[0] / theirs[0]:.2f} of its rate, {ours[1] / theirs[1]:.2f} of its CPU a request")


if __name__ == "__main__":
    main()
