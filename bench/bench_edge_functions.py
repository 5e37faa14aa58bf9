"""A Node.js function at viewer-request, against workerd running the same rewrite.

    .venv/bin/python bench/bench_edge_functions.py

Each request is for ``/page.html``; the function makes ``/ward/page.html`` of it and adds a header; 1 KiB comes from the
cache (of ours) or from a map in memory (of workerd, which brings no cache). Server and load share the same two cores,
one after the other. Goals: at least 1.3 of workerd's rate, at most 0.3 ms added to the median. ``make peers`` installs
workerd.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from edge_server import edge, origin
from servers import Load, get, workerd, wrk

SECONDS = 4
CONNECTIONS = 32
FUNCTION = """
exports.handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.uri = '/ward' + request.uri;
  request.headers['x-ward'] = [{ key: 'X-Ward', value: '7' }];
  return request;
};
"""
WORKER = """
const pages = new Map([['/ward/page.html', 'x'.repeat(1024)]]);
export default {
  async fetch(request) {
    const url = new URL(request.url);
    url.pathname = '/ward' + url.pathname;
    const changed = new Request(url, request);
    changed.headers.set('x-ward', '7');
    const page = pages.get(new URL(changed.url).pathname);
    return new Response(page, { headers: { 'content-type': 'text/html', 'cache-control': 'max-age=3600' } });
  }
};
"""


def measure(name: str, running: AbstractContextManager[tuple[int, int]], path: str = "/page.html") -> Load:
    """The load of many connections, with the median of one."""
    with running as (port, pid):
        url = f"http://127.0.0.1:{port}{path}"
        if len(get(url)) != 1024:
            raise RuntimeError(f"{name} does not serve the page")
        found = wrk(url, pid, connections=CONNECTIONS, seconds=SECONDS, core=None)
        found = replace(found, median=wrk(url, pid, connections=1, seconds=1, core=None).median)
    print(
        f"{name:<44} {found.rate:>8,.0f} a second  {found.spent:6.1f} µs CPU each  p50 of one {found.median:6.3f} ms",
        flush=True,
    )
    return found


def main() -> None:
    if shutil.which("wrk") is None or shutil.which("node") is None:
        print("wrk or node is not installed: skipped")
        return
    with tempfile.TemporaryDirectory() as name, origin(core=None) as behind:
        folder = Path(name)
        zipped = folder / "f.zip"
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("index.js", FUNCTION)
        plain = measure("littoral, no function", edge(folder / "plain", behind, core=None), "/ward/page.html")
        called = edge(folder / "called", behind, "--function", str(zipped), core=None)
        ours = measure("littoral, Node.js at viewer-request", called)
        print(f"the function adds {ours.median - plain.median:.3f} ms to the median (goal: 0.3)")
        try:
            theirs = measure("workerd, the same rewrite", workerd(WORKER, None))
        except FileNotFoundError as missing:
            print(missing)
            return
        print(f"littoral / workerd: {ours.against(theirs)} (goal: 1.3 of its rate)")


if __name__ == "__main__":
    main()
