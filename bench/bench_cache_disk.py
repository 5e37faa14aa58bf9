"""The cache with a million entries on disk: start, one entry found, invalidations, memory; and what a kill costs.

Entries of 200 bytes are written as the edge writes them, then the place is ended by SIGKILL and opened again. Printed:
the seconds to a first answer from a cold process, microseconds for an entry that is only on disk, milliseconds for an
invalidation of one path, of ``/*`` and of a tag (durable), resident memory after opening.

    .venv/bin/python bench/bench_cache_disk.py [ENTRIES]     (1000000)
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from littoral.edge.cache import Cache
from littoral.edge.entry import Entry, Key
from littoral.net.message import Headers

MIB = 1024 * 1024
RAW = [(b"content-type", b"text/html"), (b"etag", b'"1"'), (b"cache-control", b"max-age=86400")]
NONE = Headers([])


def key(number: int) -> Key:
    return ("E1", (f"/page/{number}", "", "", ""))


def opened(folder: Path) -> Cache:
    return Cache(folder, 64 * MIB, 16 * 1024 * MIB)


async def fill(folder: Path, entries: int) -> None:
    """Ends only by a kill, when all is written."""
    cache, body = opened(folder), b"x" * 200
    for number in range(entries):
        tags = ("all", f"t{number % 1000}")
        entry = Entry(f"/page/{number}", 200, RAW, body, len(body), 1.0, 1e10, etag='"1"', tags=tags)
        cache.disk.store(key(number), entry)
        if number % 2000 == 1999:
            await cache.disk.settled()
    await cache.disk.settled()
    print("written", flush=True)
    await asyncio.Event().wait()


async def measure(folder: Path, entries: int, began: float) -> None:
    cache = opened(folder)
    assert (await cache.find(key(7), NONE))[1] is not None
    print(f"first entry from a cold start, imports included: {time.time() - began:.2f} s", flush=True)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    print(f"{len(cache.disk):,} entries, {cache.disk.bytes / 1e6:.0f} MB; resident memory {resident:.0f} MiB")
    chance = random.Random(3)
    asked = [chance.randrange(entries) for _ in range(2000)]
    at, used = time.perf_counter(), time.process_time()
    for number in asked:
        assert (await cache.find(key(number), NONE))[1] is not None
    took, used = time.perf_counter() - at, time.process_time() - used
    print(f"an entry that is only on disk: {took / len(asked) * 1e6:.0f} µs, {used / len(asked) * 1e6:.0f} µs of CPU")
    for what, paths, tags in (
        ("one path", ["/page/1"], []),
        ("a tag of 1/1000", [], ["t5"]),
        ("/page/9*", ["/page/9*"], []),
        ("/*", ["/*"], []),
    ):
        at = time.perf_counter()
        await cache.invalidate("E1", paths, tags)
        print(f"invalidation of {what}: {(time.perf_counter() - at) * 1e3:.1f} ms")
    assert (await cache.find(key(asked[0]), NONE))[1] is None
    await cache.close()


def main() -> None:
    if len(sys.argv) > 3:
        step, place, entries = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
        asyncio.run(fill(place, entries) if step == "fill" else measure(place, entries, float(sys.argv[4])))
        return
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        at = time.perf_counter()
        command = [sys.executable, __file__, "fill", folder, str(entries)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            took = time.perf_counter() - at
            os.kill(writer.pid, signal.SIGKILL)
        size = sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file())
        print(f"{entries:,} entries written in {took:.0f} s ({took / entries * 1e6:.0f} µs each), {size / 1e6:.0f} MB")
        subprocess.run([sys.executable, __file__, "measure", folder, str(entries), str(time.time())], check=True)


if __name__ == "__main__":
    main()
