"""What the benchmarks of the web share: servers on a core of their own, peers among them, and wrk, which asks them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from littoral.net.pki import Authority

HOST = "d111111abcdef8.cloudfront.net"

# One worker that writes nothing; {{ }} for this text is formatted.
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  keepalive_requests 1000000000; default_type text/html;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
"""
NGINX_CACHE = (
    NGINX
    + """
  access_log {log}; sendfile on; proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m;
  upstream live {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} {secure};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:SSL:1m;
    ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem;
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache one; add_header X-Cache $upstream_cache_status; }}
    location /live/ {{ proxy_pass http://live; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
)


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


# -------------------------------------------------------------------------------------------------- processes


@contextmanager
def started(command: Sequence[str], core: int | None = 0, *, quiet: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process on that core, or on any; it is ended with the block. What it prints can be read."""
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    errors = subprocess.DEVNULL if quiet else None
    with subprocess.Popen([*pinned, *command], stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def ports(process: subprocess.Popen[str]) -> list[int]:
    """The line of ports that a program of ours prints when it listens."""
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


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
    """Those of all its threads that live."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, all threads, and those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def cpu_of_tree(pid: int) -> float:
    """The same, and of all that it started and that lives."""
    try:
        return cpu(pid) + sum(cpu_of_tree(child) for child in children(pid))
    except FileNotFoundError:  # it ended meanwhile: its parent has its time
        return 0.0


# ------------------------------------------------------------------------------------------------------ peers


@contextmanager
def nginx(
    text: str, core: int = 0, *, files: Mapping[str, bytes] | None = None, **values: object
) -> Iterator[tuple[int, int]]:
    """Port and worker of an nginx with that configuration, whose ``files`` lie in a folder of that name."""
    program = find("nginx")
    if program is None:
        raise FileNotFoundError("nginx is not installed: no ratio")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        for path, content in (files or {}).items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_bytes(content)
        issued = Authority.load_or_create(folder / "pki", "bench").issue_server([HOST])
        (folder / "pair.pem").write_bytes(issued.certificate + issued.private_key)
        filled = {"log": "off", "secure": "", "origin": 0, **values}
        filled["log"] = str(filled["log"]).format(folder=folder)
        (folder / "nginx.conf").write_text(text.format(folder=folder, port=port, **filled))
        with started([program, "-p", name, "-c", str(folder / "nginx.conf")], core, quiet=True) as process:
            wait_for(port)
            while not (workers := children(process.pid)):  # the port is the master's, before it has a worker
                time.sleep(0.01)
            yield port, workers[0]


@contextmanager
def varnish(origin: int) -> Iterator[tuple[int, int]]:
    """Port and worker of a Varnish with 100 MB of memory in front of that origin."""
    program = find("varnishd")
    if program is None:
        raise FileNotFoundError("Varnish is not installed: no ratio")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        command = [program, "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin}"]
        command += ["-n", f"{folder}/varnish", "-s", "malloc,100m"]
        with started(command, quiet=True) as process:
            wait_for(port)
            yield port, max(children(process.pid), key=cpu)


WORKERD = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = (modules = [ (name = "worker", esModule = embed "worker.js") ],
               compatibilityDate = "2026-01-01")) ],
  sockets = [ (name = "http", address = "127.0.0.1:%d", http = (), service = "main") ]
);
"""


@contextmanager
def workerd(worker: str, core: int | None) -> Iterator[tuple[int, int]]:
    """Port and process of a workerd with that script; ``make peers`` installs it."""
    installed = Path(__file__).parent.parent / ".peers" / "node_modules" / ".bin" / "workerd"
    program = os.environ.get("WORKERD") or find("workerd") or (str(installed) if installed.exists() else None)
    if program is None:
        raise FileNotFoundError("workerd is not installed (make peers): no ratio")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "worker.js").write_text(worker)
        (folder / "config.capnp").write_text(WORKERD % port)
        with started([program, "serve", str(folder / "config.capnp")], core) as process:
            wait_for(port)
            yield port, process.pid


# ------------------------------------------------------------------------------------------------------- load


def get(url: str) -> bytes:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    asked = urllib.request.Request(url, headers={"Host": HOST})
    with urllib.request.urlopen(asked, context=trusting) as answer:
        content: bytes = answer.read()
        return content


@dataclass(frozen=True)
class Load:
    """What wrk saw, and what it cost the server."""

    rate: float  # requests a second
    median: float  # ms
    spent: float  # µs of the server's CPU a request

    def against(self, peer: Load) -> str:
        return f"{self.rate / peer.rate:.2f} of its rate, {self.spent / peer.spent:.2f} of its CPU a request"


def wrk(
    url: str,
    pid: int,
    *,
    connections: int,
    seconds: int,
    core: int | None = 1,
    headers: Mapping[str, str] | None = None,
    script: Path | None = None,
) -> Load:
    """The server (process ``pid`` and its children) is asked for a second, then measured.

    Raises:
        RuntimeError: an answer was no 2xx or 3xx, or a connection failed
    """
    command = ["taskset", "-c", str(core)] if core is not None else []
    command += ["wrk", "-t1", f"-c{connections}", "--latency", "-H", f"Host: {HOST}"]
    command += [word for key, value in (headers or {}).items() for word in ("-H", f"{key}: {value}")]
    command += ["-s", str(script)] if script is not None else []
    subprocess.run([*command, "-d1", url], check=True, capture_output=True)
    before = cpu_of_tree(pid)
    shown = subprocess.run([*command, f"-d{seconds}", url], check=True, capture_output=True, text=True).stdout
    used = cpu_of_tree(pid) - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"requests failed:\n{shown}")
    count = int(re.findall(r"(\d+) requests in", shown)[0])
    number, unit = re.findall(r"50%\s+([\d.]+)(us|ms|s)", shown)[0]
    median = float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
    return Load(float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0]), median, used / count * 1e6)


HALT_POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")  # of Linux in a virtual machine


@contextmanager
def polling(nanoseconds: int = 200_000) -> Iterator[bool]:
    """Processors of this virtual machine look that long for work before they sleep; False where that cannot be had."""
    try:
        before = HALT_POLL.read_text()
        HALT_POLL.write_text(str(nanoseconds))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        HALT_POLL.write_text(before)


@contextmanager
def awake() -> Iterator[None]:
    """No processor sleeps; whatever else wants one has it at once."""
    spinning = [
        subprocess.Popen(["taskset", "-c", str(each), "chrt", "-i", "0", sys.executable, "-c", "while True: pass"])
        for each in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()
