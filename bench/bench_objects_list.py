"""The first page of a listing in a bucket of a million keys: time of a signed ListObjectsV2, and CPU of the server.

The bucket is not filled by a million PUTs: its rows are written into the index by one transaction of the index's own,
as PUTs of small objects would have left them. Then the server is started on that folder, on one core.

    .venv/bin/python bench/bench_objects_list.py [--keys 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

import apsw

from bench_objects import Connection, littoral
from littoral.objects import Objects
from littoral.objects.facts import Bucket, Facts
from littoral.store.embedded import EmbeddedStore
from servers import cpu

GOAL = 10.0  # ms
ASKED = 40
BODY = b"x" * 40
PAGES = {
    "of the bucket": "list-type=2",
    "of a prefix": "list-type=2&prefix=bed07%2F",
    "of a prefix in the middle": "list-type=2&prefix=bed63%2F0004",
    "rolled up": "delimiter=%2F&list-type=2",
    "behind a key": "list-type=2&start-after=bed50%2F000100",
}


async def fill(folder: Path, keys: int) -> None:
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    await objects._index.create_bucket("million", Bucket(0.0))
    facts, etag = Facts({"ContentType": "text/plain"}).dump(), hashlib.md5(BODY, usedforsecurity=False).hexdigest()

    def work(connection: apsw.Connection) -> None:
        connection.executemany(
            "INSERT INTO objects(bucket, key, size, etag, modified, facts, inline) VALUES('million', ?, ?, ?, ?, ?, ?)",
            ((f"bed{n // 10_000:02}/{n % 10_000:06}", len(BODY), etag, 1e9, facts, BODY) for n in range(keys)),
        )

    await objects._index._write(work, heavy=True)
    await objects.close()
    await store.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keys", type=int, default=1_000_000)
    keys = options.parse_args().keys
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bench-list-") as text:
        folder = Path(text)
        began = time.monotonic()
        asyncio.run(fill(folder, keys))
        print(f"{keys} keys written into the index in {time.monotonic() - began:.0f} s", flush=True)
        with littoral(folder) as place:
            for page, query in PAGES.items():
                request, connection = place.request("GET", f"/million?{query}"), Connection(place.port)
                connection.send(request)  # compiles the plan of the operation
                times = []
                before = cpu(place.pid)
                for _ in range(ASKED):
                    began = time.perf_counter()
                    size = connection.send(request)
                    times.append((time.perf_counter() - began) * 1000)
                spent = (cpu(place.pid) - before) / ASKED * 1000
                median = statistics.median(times)
                missed += spent > GOAL
                holds = "ok    " if spent <= GOAL else "MISSED"
                print(
                    f"  {holds} first page {page}: CPU {spent:.1f} ms, median {median:.1f} ms, {size} bytes", flush=True
                )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
