"""A cache hit of 1 KiB over HTTP/1.1 keep-alive: our edge against nginx proxy_cache and Varnish.

Every cache runs on one core of its own turn, in front of the same origin; wrk runs on another core. Each cache is
asked twice before the measurement, so that what is measured is hits, and the origin's count proves it. Then the same
with every request in an access log: ours is made, zipped and thrown away, CPU and all. Prints requests a second, CPU of
the cache per request, and our ratio to each peer. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager

from edge_server import PATH, edge, origin
from servers import NGINX_CACHE, Load, get, nginx, varnish, wrk

SECONDS = 6  # three files of the log
CONNECTIONS = 64
LOG = "{folder}/access.log combined buffer=64k flush=1s"


def measure(name: str, running: AbstractContextManager[tuple[int, int]], behind: int) -> Load:
    with running as (port, pid):
        url, count = f"http://127.0.0.1:{port}{PATH}", f"http://127.0.0.1:{behind}/count"
        for _ in range(2):
            if len(get(url)) != 1024:
                raise RuntimeError(f"{name} does not serve the object")
        fetched = get(count)
        found = wrk(url, pid, connections=CONNECTIONS, seconds=SECONDS)
        if get(count) != fetched:
            raise RuntimeError(f"{name} asked the origin again: these were not all hits")
    print(f"{name:<20} {found.rate:>9,.0f} hits/s   {found.spent:5.1f} µs CPU each", flush=True)
    return found


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    with origin() as behind:

        def ours(name: str, *options: str) -> Load:
            with tempfile.TemporaryDirectory() as folder:
                return measure(name, edge(folder, behind, *options), behind)

        def compare(mine: Load, name: str, start: Callable[[], AbstractContextManager[tuple[int, int]]]) -> None:
            try:
                print(f"littoral / {name}: {mine.against(measure(name, start(), behind))}", flush=True)
            except FileNotFoundError as missing:
                print(missing)

        plain = ours("littoral")
        compare(plain, "nginx proxy_cache", lambda: nginx(NGINX_CACHE, origin=behind))
        compare(plain, "Varnish", lambda: varnish(behind))
        compare(
            ours("littoral, logging", "--logs"), "nginx, logging", lambda: nginx(NGINX_CACHE, origin=behind, log=LOG)
        )


if __name__ == "__main__":
    main()
