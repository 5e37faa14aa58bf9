"""Objects behind a gateway on loopback, and nothing else, for benchmarks and for who kills it:
``python bench/object_server.py FOLDER [PORT]``. Says its port, access key and secret when it listens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.net.listen import listen_http
from littoral.objects import Objects
from littoral.site.lifecycle import settle
from littoral.store.embedded import EmbeddedStore


async def serve(folder: Path, port: int) -> None:
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    identity = await Identity.open(store.records("identity"))
    gateway = Gateway({"s3": objects.api}, identity, region="us-east-1", account="000000000000")
    settle()  # as a place does
    listener = await listen_http(gateway.handle, port=port)
    print(listener.port, identity.root.id, identity.root.secret, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
