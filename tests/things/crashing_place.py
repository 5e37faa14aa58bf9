"""A place that stores what rules match and never acts on it, to be killed: ``python crashing_place.py FOLDER``.

Prints the port of an open listener. Not a test itself; see test_crash.py.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from littoral.net.listen import listen_stream
from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.facade import Things
from littoral.things.outside import Outside
from littoral.things.rules import RuleRecord

KEY = "${n}"
ACTION = {"s3": {"roleArn": "arn:aws:iam::000000000000:role/r", "bucketName": "b", "key": KEY}}


async def opened(folder: Path, objects: object | None) -> tuple[EmbeddedStore, Things]:
    store = await EmbeddedStore.open(folder / "store")
    authority = Authority.load_or_create(folder / "authority", "test devices")
    things = await Things.open(
        store,
        region="us-east-1",
        account="000000000000",
        authority=authority,
        endpoint=lambda: "",
        outside=Outside(objects=objects),  # type: ignore[arg-type]
    )
    return store, things


async def main(folder: Path) -> None:
    _, things = await opened(folder, None)
    payload = {"sql": "SELECT * FROM 'r/#'", "actions": [ACTION]}
    await things.rules.put(RuleRecord.of_payload("r", payload, 0.0))
    await things.broker.start()  # the rules' consumer is not started: what it would do is left to after the crash
    listener = await listen_stream(things.broker.protocol_factory("open", OpenAccess()), "127.0.0.1", 0)
    print(listener.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
