"""A stream manager that exports to a region, to be killed: ``python crashing_streams.py FOLDER DEVICE_PORT THING``.

FOLDER has the core's ``certificate``, ``key`` and ``ca``. Prints the port of the stream manager; ends with its standard
input. Not a test; see test_streammanager_kill.py.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from littoral.core.exchange import ALIAS, TokenExchange
from littoral.core.link import Backoff, Upstream
from littoral.core.streammanager.exports import Exports
from littoral.core.streammanager.kinesis import Kinesis
from littoral.core.streammanager.server import StreamServer
from littoral.core.streammanager.streams import MessageStreams
from littoral.core.upward import Upward
from littoral.net.client import HttpClient
from littoral.net.tls import client_context
from littoral.store.embedded import EmbeddedStore


async def main(folder: Path, port: int, thing: str) -> None:
    pair = (folder / "certificate").read_bytes(), (folder / "key").read_bytes()
    upstream = Upstream("127.0.0.1", port, client_context(ca=(folder / "ca").read_bytes(), pair=pair))
    store = await EmbeddedStore.open(folder / "store")
    streams = MessageStreams(store.records("core"), store.streams)
    await streams.load()
    client = HttpClient()
    exchange = TokenExchange(client, upstream, thing, ALIAS)
    exports = Exports(
        streams, {"kinesis": Kinesis(Upward(client, upstream, exchange, "us-east-1"), thing)}, Backoff(0.01)
    )
    server = StreamServer(streams, lambda _token: True)
    await server.start(0)
    exports.start(5, None)
    print(server.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()
    await exports.close()
    await client.close()
    await store.close()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
