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
from contextlib import contextmanager
from dataclasses import dataclass

import servers
from edge_server import PATH, edge, origin
from servers import HOST, NGINX_CACHE, children, cpu

SECONDS = 3


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
def littoral(behind: int, front: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, edge(folder, behind, "--front", front) as (port, pid):
        before = children(pid)
        yield Server("littoral, Caddy before" if before else "littoral", port, pid, before[0] if before else None)


@contextmanager
def nginx(behind: int) -> Iterator[Server]:
    with servers.nginx(NGINX_CACHE, origin=behind, secure="ssl http2") as (port, pid):
        yield Server("nginx", port, pid)


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
    with origin() as behind:
        for start, protocols in (
            (littoral(behind, "auto"), ("HTTP/2", "HTTP/1.1")),
            (littoral(behind, "off"), ("HTTP/1.1",)),
            (nginx(behind), ("HTTP/2", "HTTP/1.1")),
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
