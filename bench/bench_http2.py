"""A cache hit of 1 KiB over TLS: HTTP/2 and HTTP/1.1, our edge behind its front and by itself, against nginx.

Every server runs on one core, h2load on another. Each is asked for a second before, so that what is measured is
hits. Prints requests a second, CPU of the server per request (with the front's share of it), new TLS connections, and
our ratio to nginx in the same run. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench_edge import HOST, ORIGIN, PATH, children, cpu, free_port, python, wait_for, worker_of
from littoral.net.pki import Authority

SECONDS = 3

EDGE = """
import asyncio, sys, uvloop
from pathlib import Path
from littoral.edge.entrance import Entrance
from littoral.edge.guard import Guard
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.protocols.shield import Shield
from littoral.site.certificates import Certificates, Contexts
from littoral.site.front import find_caddy, listen_front
from littoral.site.settings import Settings
folder, origin, host, front = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
CONFIG = {
    "Enabled": True,
    "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": {
        "HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all",
                             "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"},
}
async def main():
    settings = Settings(data_dir=folder, edge_front=front)
    pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(HttpClient(), "BENCH1"), invoker=None)
    pipeline.use({"E1": compile_plan("E1", host, CONFIG, MANAGED_CACHE)})
    own = Certificates(Authority.load_or_create(folder / "pki", "bench"), ["localhost"])
    program = find_caddy(settings)
    if program is not None:
        guard = Guard(Shield(), "BENCH1")
        guard.before = lambda handler: handler  # all load comes from one client, which a shield would hold back
        listener = await listen_front(pipeline, guard, program, own, settings, 0)
    else:
        tls = server_context(own.own(), names=Contexts(own, pipeline.serves), alpn=["http/1.1"])
        listener = await listen_http(Entrance(pipeline).handle, tls=tls)
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
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; ssl_session_cache shared:SSL:1m;
  proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m;
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem;
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache one; add_header X-Cache $upstream_cache_status; }}
  }}
}}
"""


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    core: int  # process that answers
    front: int | None = None  # process before it


@dataclass(frozen=True)
class Found:
    rate: float
    spent: float  # µs of CPU a request, all processes


@contextmanager
def littoral(origin: int, front: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, python(EDGE, 0, folder, str(origin), HOST, front) as (port, pid):
        before = children(pid)
        yield Server("littoral, Caddy before" if before else "littoral", port, pid, before[0] if before else None)


@contextmanager
def nginx(origin: int) -> Iterator[Server]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise FileNotFoundError("nginx is not installed: no ratio")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        issued = Authority.load_or_create(folder / "pki", "bench").issue_server([HOST])
        (folder / "pair.pem").write_bytes(issued.certificate + issued.private_key)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, origin=origin))
        command = ["taskset", "-c", "0", program, "-p", name, "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command) as process:
            try:
                wait_for(port)
                yield Server("nginx", port, worker_of(process.pid))
            finally:
                process.terminate()


def load(port: int, *options: str) -> str:
    url = f"https://{HOST}:{port}{PATH}"
    command = ["taskset", "-c", "1", "h2load", f"--connect-to=127.0.0.1:{port}", *options, url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(server: Server, protocol: str) -> Found:
    """Hits a second over kept connections, and the CPU of each."""
    how = ["--h1", "-c64"] if protocol == "HTTP/1.1" else ["-c16", "-m8"]
    load(server.port, *how, "-D1")
    before = cpu(server.core), cpu(server.front) if server.front else 0.0
    shown = load(server.port, *how, f"-D{SECONDS}")
    used = cpu(server.core) - before[0], (cpu(server.front) if server.front else 0.0) - before[1]
    count = int(re.findall(r"(\d+) succeeded", shown)[0])
    if not count or " 0 failed" not in shown or "0 3xx, 0 4xx, 0 5xx" not in shown:
        raise RuntimeError(f"{server.name} failed requests:\n{shown}")
    rate, spent = count / SECONDS, sum(used) / count * 1e6
    share = f", the front {used[1] / sum(used):.0%}" if server.front else ""
    print(f"{protocol}  {server.name:<22} {rate:>8,.0f} hits/s  {spent:6.1f} µs CPU each{share}", flush=True)
    return Found(rate, spent)


def handshakes(server: Server) -> None:
    """New connections with one request each."""
    before = cpu(server.core) + (cpu(server.front) if server.front else 0.0)
    for _ in range(5):
        load(server.port, "-c100", "-n100")
    used = cpu(server.core) + (cpu(server.front) if server.front else 0.0) - before
    print(f"TLS       {server.name:<22} {used / 500 * 1e3:17.2f} ms CPU a new connection", flush=True)


def main() -> None:
    if shutil.which("h2load") is None:
        print("h2load is not installed (apt: nghttp2-client): skipped")
        return
    found: dict[tuple[str, str], Found] = {}
    with ExitStack() as running:
        origin, _ = running.enter_context(python(ORIGIN, 1))
        for start, protocols in (
            (littoral(origin, "auto"), ("HTTP/2", "HTTP/1.1")),
            (littoral(origin, "off"), ("HTTP/1.1",)),
            (nginx(origin), ("HTTP/2", "HTTP/1.1")),
        ):
            try:
                with start as server:
                    for protocol in protocols:
                        found[server.name, protocol] = measure(server, protocol)
                    handshakes(server)
            except FileNotFoundError as problem:
                print(problem)
    for (name, protocol), ours in found.items():
        theirs = found.get(("nginx", protocol))
        if name != "nginx" and theirs is not None:
            rate, spent = ours.rate / theirs.rate, ours.spent / theirs.spent
            print(f"{name} / nginx, {protocol}: {rate:.2f} of its rate, {spent:.2f} of its CPU a request", flush=True)


if __name__ == "__main__":
    main()
