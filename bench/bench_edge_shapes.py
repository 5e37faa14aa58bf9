"""Our edge against nginx and Varnish beyond the small hit of ``bench_edge.py``: over TLS, of 1 MiB, and as a miss.

Every server runs on one core, wrk and the origin (nginx) on another; HTTP/1.1 keep-alive. They are asked in turns, a
second each, so that what else a machine does falls on all alike. A miss is dynamic content that nobody may store; its
peer is nginx's proxy_pass with kept connections. Prints medians of the turns: requests a second, CPU of the server for
each, and our ratio to each peer. Ends within two minutes; leaves no process.

    python bench/bench_edge_shapes.py [NAME…]        all shapes, or those
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from edge_server import edge
from servers import NGINX, NGINX_CACHE, Load, find, get, nginx, varnish, wrk

TURNS = 7
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
ORIGIN = (
    NGINX
    + """
  access_log off;
  server {{
    listen 127.0.0.1:{port}; root {folder}/files;
    location / {{ add_header Cache-Control "max-age=3600"; }}
    location /live/ {{ add_header Cache-Control "private, no-store"; }}
  }}
}}
"""
)
FILES = {"small.html": b"x" * KIB, "live/small.html": b"x" * KIB, "large.bin": b"x" * MIB}


def ask(kind: str, port: int, pid: int) -> Load:
    shape = SHAPES[kind]
    url = f"http{'s' * shape.tls}://127.0.0.1:{port}{shape.path}"
    for _ in range(2):
        if len(get(url)) != shape.size:
            raise RuntimeError(f"port {port} does not serve the object")
    return wrk(url, pid, connections=shape.connections, seconds=1)


def compare(kind: str, behind: int) -> None:
    secure = SHAPES[kind].tls
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        servers = {"littoral": stack.enter_context(edge(folder, behind, *["--tls"] * secure))}
        for name in SHAPES[kind].peers:
            peer = varnish(behind) if name == "varnish" else nginx(NGINX_CACHE, origin=behind, secure="ssl" * secure)
            try:
                servers[name] = stack.enter_context(peer)
            except FileNotFoundError as missing:
                print(missing)
        turns = [{name: ask(kind, *server) for name, server in servers.items()} for _ in range(TURNS)]
    for name in servers:
        rate, spent = (median(getattr(turn[name], each) for turn in turns) for each in ("rate", "spent"))
        print(f"{kind:<10} {name:<10} {rate:>9,.0f}/s  {spent:7.1f} µs CPU each", flush=True)
    for name in [each for each in servers if each != "littoral"]:
        rate = median(turn["littoral"].rate / turn[name].rate for turn in turns)
        spent = median(turn["littoral"].spent / turn[name].spent for turn in turns)
        print(f"{kind}: littoral / {name}: {rate:.2f} of its rate, {spent:.2f} of its CPU a request", flush=True)


def main() -> None:
    if shutil.which("wrk") is None or find("nginx") is None:
        print("wrk or nginx is not installed: skipped")
        return
    with nginx(ORIGIN, 1, files=FILES) as (behind, _):
        for kind in sys.argv[1:] or SHAPES:
            compare(kind, behind)


if __name__ == "__main__":
    main()
