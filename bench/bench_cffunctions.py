"""A cached 1 KiB behind a viewer-request rewrite: our edge with a CloudFront function, and workerd with the same one.

Each server has one core in its turn, wrk another. Ours parses the request, runs the function, looks the rewritten name
up in its cache and answers with all of the edge's headers; workerd runs the function on an event of the same shape and
answers from its memory. Prints requests a second, CPU of the server a request, what the function adds to a hit, and the
ratio. ``make peers`` installs workerd (npm), or WORKERD names it. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from edge_server import edge, origin
from servers import Load, workerd, wrk

CONNECTIONS = 64
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


def measure(name: str, running: AbstractContextManager[tuple[int, int]], path: str) -> Load:
    """The load of many connections, with the median of one."""
    with running as (port, pid):
        url, headers = f"http://127.0.0.1:{port}{path}", {"Accept-Encoding": "gzip"}
        alone = wrk(url, pid, connections=1, seconds=2, headers=headers)
        found = wrk(url, pid, connections=CONNECTIONS, seconds=SECONDS, headers=headers)
    found = replace(found, median=alone.median)
    median = f"median {found.median * 1e3:,.0f} µs"
    print(f"{name:<28} {found.rate:>9,.0f} a second   {found.spent:6.1f} µs CPU each   {median}", flush=True)
    return found


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as name, origin() as behind:
        folder = Path(name)
        (folder / "rewrite.js").write_text(REWRITE)
        plain = measure("a hit without a function", edge(folder / "plain", behind), "/blog/index.html")
        scripted = edge(folder / "scripted", behind, "--script", str(folder / "rewrite.js"))
        ours = measure("a hit behind a function", scripted, "/blog")
        added = ours.spent - plain.spent, (ours.median - plain.median) * 1e3
        print(f"the function adds {added[0]:.0f} µs of CPU and {added[1]:.0f} µs to the median")
        try:
            print(
                f"littoral / workerd: {ours.against(measure('workerd, the same rewrite', workerd(WORKER, 0), '/blog'))}"
            )
        except FileNotFoundError as missing:
            print(missing)


if __name__ == "__main__":
    main()
