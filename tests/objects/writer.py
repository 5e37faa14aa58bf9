"""Writes objects until it is killed, telling on standard output what has been acknowledged. Run by test_crash."""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from pathlib import Path

from littoral.objects import Objects
from littoral.objects.facts import Bucket
from littoral.store.embedded import EmbeddedStore


def body(name: str) -> bytes:
    """Some in the index, some in blobs."""
    size = 100 if zlib.crc32(name.encode()) % 3 == 0 else 40_000
    return (name.encode() * (size // len(name) + 1))[:size]


async def write(folder: Path, run: str) -> None:
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    await objects._index.create_bucket("crash", Bucket(0.0))

    async def one(worker: int) -> None:
        count = 0
        while True:
            name = f"{run}-{worker}-{count}"
            await objects.put_bytes("crash", f"{worker}/{count % 7}", body(name), metadata={"name": name})
            os.write(1, f"{worker}/{count % 7} {name}\n".encode())
            count += 1

    await asyncio.gather(*(one(worker) for worker in range(4)))


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2]))
