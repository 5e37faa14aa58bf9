"""A broker in a process of its own, for tests that kill it: ``python -m tests.things.broker.serving FOLDER``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from littoral.net.listen import listen_stream
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker


async def serve(folder: Path) -> None:
    store = await EmbeddedStore.open(folder)
    broker = Broker(access=OpenAccess(), streams=store.streams, records=store.records("broker"))
    await broker.start()
    listener = await listen_stream(broker.protocol_factory("tcp"))
    print(listener.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
