"""Our edge against nginx and Varnish beyond the small hit of ``bench_edge.py``: over TLS, of 1 MiB, and as a miss.

Every server runs on one core in its turn, wrk and the origin (nginx) on another; HTTP/1.1 keep-alive. A miss is
dynamic content that nobody may store; its peer is nginx's proxy_pass with kept connections. Prints requests a second,
CPU of the server for each, and our ratio to each peer. Ends within a minute and a half; leaves no process.

    python bench/bench_edge_shapes.py [NAME…]        all shapes, or those
"""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench_edge import HOST, cpu, free_port, python, varnish, wait_for, worker_of
from littoral.net.pki import Authority

SECONDS = 4
KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Shape:
    """What is asked for, by how many connections, and whom we compare with."""

    path: str
    size: int
    connections: int = 64
    tls: bool = False
    peers: tuple[str, ...] = ("nginx",)


SHAPES = {
    "tls": Shape("/small.html", KIB, tls=True),
    "large": Shape("/large.bin", MIB, connections=16, peers=("nginx", "varnish")),
    "large-tls": Shape("/large.bin", MIB, connections=16, tls=True),
    "miss": Shape("/live/small.html", KIB),
}

EDGE = """
import asyncio, gc, sys, uvloop
from pathlib import Path
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.pki import Authority
from littoral.net.tls import server_context
folder, origin, host, secure = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
CONFIG = {
    "Enabled": True,
    "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": {
        "HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all",
                             "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"},
    "CacheBehaviors": {"Items": [{"PathPattern": "/live/*", "TargetOriginId": "o",
                                  "ViewerProtocolPolicy": "allow-all",
                                  "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"}]},
}
async def main():
    gc.freeze()  # as a place does (site/lifecycle.py)
    gc.set_threshold(10_000, 20, 500)
    tls = None
    if secure == "tls":
        issued = Authority.load_or_create(folder / "pki", "bench").issue_server([host])
        tls = server_context((issued.certificate, issued.private_key), alpn=["http/1.1"])
    pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(HttpClient(), "BENCH1"), invoker=None)
    pipeline.use({"E1": compile_plan("E1", host, CONFIG, MANAGED_CACHE)})
    listener = await listen_http(pipeline.handle, tls=tls)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

START = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type text/html;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
"""
ORIGIN = (
    START
    + """
  server {{
    listen 127.0.0.1:{port}; root {folder}/files;
    location / {{ add_header Cache-Control "max-age=3600"; }}
    location /live/ {{ add_header Cache-Control "private, no-store"; }}
  }}
}}
"""
)
NGINX = (
    START
    + """
  sendfile on; proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m;
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


@contextmanager
def nginx(text: str, core: int, origin: int = 0, secure: str = "") -> Iterator[tuple[int, int]]:
    """Port and process of an nginx with that configuration; it serves what lies in ``files``."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        for path, size in (("small.html", KIB), ("live/small.html", KIB), ("large.bin", MIB)):
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_bytes(b"x" * size)
        issued = Authority.load_or_create(folder / "pki", "bench").issue_server([HOST])
        (folder / "pair.pem").write_bytes(issued.certificate + issued.private_key)
        (folder / "nginx.conf").write_text(text.format(folder=folder, port=port, origin=origin, secure=secure))
        program = programs()["nginx"]
        command = ["taskset", "-c", str(core), str(program), "-p", name, "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command) as process:
            try:
                wait_for(port)
                yield port, worker_of(process.pid)
            finally:
                process.terminate()


def programs() -> dict[str, str | None]:
    """Where the peers are, by name."""
    commands = {"nginx": "nginx", "varnish": "varnishd"}
    places = "/usr/sbin:/usr/local/sbin"
    return {name: shutil.which(each) or shutil.which(each, path=places) for name, each in commands.items()}


@contextmanager
def started(name: str, shape: Shape, origin: int) -> Iterator[tuple[int, int]]:
    with ExitStack() as running:
        if name == "nginx":
            yield running.enter_context(nginx(NGINX, 0, origin, "ssl" if shape.tls else ""))
            return
        folder = running.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o755)
        if name == "varnish":
            yield running.enter_context(varnish(str(programs()["varnish"]), Path(folder), origin))
        else:
            secure = "tls" if shape.tls else "tcp"
            yield running.enter_context(python(EDGE, 0, folder, str(origin), HOST, secure))


def get(url: str) -> bytes:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    asked = urllib.request.Request(url, headers={"Host": HOST})
    with urllib.request.urlopen(asked, context=trusting) as answer:
        content: bytes = answer.read()
        return content


def measure(kind: str, name: str, shape: Shape, port: int, pid: int) -> tuple[float, float]:
    """Requests a second, and microseconds of the server's CPU for each."""
    url = f"http{'s' * shape.tls}://127.0.0.1:{port}{shape.path}"
    for _ in range(2):
        if len(get(url)) != shape.size:
            raise RuntimeError(f"{name} does not serve the object")
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{shape.connections}", "-H", f"Host: {HOST}"]
    subprocess.run([*wrk, "-d1", url], check=True, capture_output=True)
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-d{SECONDS}", url], check=True, capture_output=True, text=True).stdout
    used = cpu(pid) - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"{name} failed requests:\n{shown}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0])
    spent = used / int(re.findall(r"(\d+) requests in", shown)[0]) * 1e6
    print(f"{kind:<10} {name:<10} {rate:>9,.0f}/s  {spent:7.1f} µs CPU each", flush=True)
    return rate, spent


def compare(kind: str, shape: Shape, origin: int) -> None:
    with started("littoral", shape, origin) as (port, pid):
        ours = measure(kind, "littoral", shape, port, pid)
    for name in shape.peers:
        if programs()[name] is None:
            print(f"{name} is not installed: no ratio")
            continue
        with started(name, shape, origin) as (port, pid):
            theirs = measure(kind, name, shape, port, pid)
        rate, spent = ours[0] / theirs[0], ours[1] / theirs[1]
        print(f"{kind}: littoral / {name}: {rate:.2f} of its rate, {spent:.2f} of its CPU a request", flush=True)


def main() -> None:
    if shutil.which("wrk") is None or programs()["nginx"] is None:
        print("wrk or nginx is not installed: skipped")
        return
    with nginx(ORIGIN, 1) as (origin, _):
        for kind in sys.argv[1:] or SHAPES:
            compare(kind, SHAPES[kind], origin)


if __name__ == "__main__":
    main()
