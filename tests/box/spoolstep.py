"""A place, or who moves objects between it and a box, that kills itself at one step of the way by the spool. Run by
test_spool_kills.

    python -m tests.box.spoolstep region FOLDER PORT STEP
    python -m tests.box.spoolstep import|export FOLDER PORT BOX ACCESS SECRET STEP

The place lies in FOLDER/region, and says its keys; STEP is "none" where it is to live.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.box.manifest import KeyRange
from littoral.box.transfer.asking import Keys
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.laying import Laying
from littoral.box.transfer.moving import Mover
from littoral.box.transfer.objects import Objects as Source
from littoral.box.transfer.pieces import Laid
from littoral.cli.transfer import End, How
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.objects import Objects
from littoral.objects.index import Index
from littoral.store.embedded import EmbeddedStore, blobs, spooled
from littoral.store.spool import Tray

BUCKET = "ward"
AMID = 40  # MiB of what is laid


def kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(_: Callable[..., Any]) -> Callable[..., Any]:
    return kill


def after(method: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine or not."""

    async def ended(running: Any) -> Any:
        await running
        kill()

    def killed(*arguments: Any, **named: Any) -> Any:
        found = method(*arguments, **named)
        return ended(found) if asyncio.iscoroutine(found) else kill()

    return killed


def after_large(put: Callable[..., Any]) -> Callable[..., Any]:
    async def killed(self: Index, bucket: str, key: str, *more: Any, **named: Any) -> Any:
        found = await put(self, bucket, key, *more, **named)
        return kill() if key == "large" else found

    return killed


def at_last(method: Callable[..., Any]) -> Callable[..., Any]:
    """When so much has come, which is amid the second part."""
    came = 0

    def counted(self: Laying, size: int) -> None:
        nonlocal came
        method(self, size)
        came += size
        if came >= AMID * 1024 * 1024:
            kill()

    return counted


REGION_TAKES = {
    "asked": (blobs, "take_file", before),
    "moved": (spooled, "fsync_folder", after),
    "with a row": (blobs.EmbeddedBlobs, "adopt", after),
    "a part": (Index, "put_part", after),
    "an object": (Index, "put", after_large),
}
REGION_LAYS = {"asked for it": (blobs, "lay_files", before), "laid out": (blobs, "lay_files", after)}
IMPORTS = {
    "amid a part": (Laying, "came", at_last),
    "laid": (Laying, "finish", after),
    "taken": (Bucket, "part_spooled", after),
    "complete": (Bucket, "complete", after),
}
EXPORTS = {"opened": (Laid, "open", None), "sent a part": (Bucket, "part_unstated", after)}
STEPS = REGION_TAKES | REGION_LAYS | IMPORTS | EXPORTS


async def region(folder: Path, port: int) -> None:
    store = await EmbeddedStore.open(folder / "region" / "store")
    objects = await Objects.open(store, folder / "region" / "objects")
    await objects.start()
    identity = await Identity.open(store.records("identity"))
    gateway = Gateway({"s3": objects.api}, identity, region="us-east-1", account="000000000000")
    await listen_http(gateway.handle, port=port)
    (folder / "keys").write_text(f"{identity.root.id} {identity.root.secret}")
    print("ready", flush=True)
    await asyncio.Event().wait()


async def move(folder: Path, port: int, box: End, *, export: bool) -> None:
    here = End(f"http://127.0.0.1:{port}", Keys(*(folder / "keys").read_text().split()))
    client, journal = HttpClient(), Journal.open(folder / "journal.db")
    with Tray.within(folder / "region" / "store" / "spool") as tray:
        assert tray is not None
        ours, other = here.bucket(client, BUCKET, How(), tray), box.bucket(client, BUCKET, How())
        origin, destination = (ours, other) if export else (other, ours)
        mover = Mover(Source(origin, KeyRange(BUCKET)), destination, journal, making=True, give_up=60)
        await mover.run()
        assert mover.failed == {}
        assert ours.tray is not None  # it went so
    journal.close()
    await client.close()


def main(what: str, folder: str, port: str, *more: str) -> None:
    step = more[-1]
    if step != "none":
        owner, name, when = STEPS[step]
        if when is None:
            real = Laid.open.__func__  # type: ignore[attr-defined]
            Laid.open = classmethod(after(real))  # type: ignore[method-assign,assignment]
        else:
            setattr(owner, name, when(getattr(owner, name)))
    if what == "region":
        blobs.LINGER = 0.0
        asyncio.run(region(Path(folder), int(port)))
    else:
        url, access, secret = more[:3]
        asyncio.run(move(Path(folder), int(port), End(url, Keys(access, secret)), export=what == "export"))


if __name__ == "__main__":
    main(*sys.argv[1:])
