"""A core's spool and link, to be killed: ``python -m tests.core.draining_core FOLDER PORT CERTIFICATE KEY CA``.

Drains until its standard input ends. Not a test; see test_denied_topics.py.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from littoral.core.link import Backoff, Link, Upstream
from littoral.core.spool import Spool
from littoral.net.tls import client_context
from littoral.store.embedded import EmbeddedStore


async def main(folder: Path, port: int, certificate: Path, key: Path, ca: Path) -> None:
    tls = client_context(ca=ca.read_bytes(), pair=(certificate.read_bytes(), key.read_bytes()))
    store = await EmbeddedStore.open(folder)
    spool = await Spool.open(store.streams, store.records("core"), "ward7-core")
    backoff = Backoff(first=0.01, cap=0.1)
    link = Link(Upstream("127.0.0.1", port, tls), "ward7-core", spool, window=16, backoff=backoff)
    await link.start()
    await asyncio.to_thread(sys.stdin.read)
    await link.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:6])))
