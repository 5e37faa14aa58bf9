"""A place with a tier that is killed at one step of its way, for each step. Run by test_tier_kills.

    python -m tests.objects.tierstep FOLDER URL ACCESS SECRET

FOLDER/whole is a place whose objects are above, too. For each step a copy of it, in a process of its own, lets go or
recalls until that step, where it kills itself; the exit status of each is a line.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from littoral.net.client import HttpClient
from littoral.objects import Objects
from littoral.objects.index import Index
from littoral.objects.tiering.tier import Tier
from littoral.store.embedded import EmbeddedStore
from littoral.store.embedded.blobs import EmbeddedBlobs, EmbeddedBlobWriter
from littoral.store.remote.far import Credentials
from tests.objects.pairs import Endpoint

MUCH = 1 << 30
Method = Callable[..., Awaitable[Any]]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(method: Method) -> Method:
    @functools.wraps(method)
    async def killed(*arguments: Any, **named: Any) -> Any:
        kill()

    return killed


def after(method: Method) -> Method:
    @functools.wraps(method)
    async def killed(*arguments: Any, **named: Any) -> Any:
        await method(*arguments, **named)
        kill()

    return killed


def amid(method: Callable[..., AsyncGenerator[bytes, None]]) -> Callable[..., AsyncGenerator[bytes, None]]:
    """After the first of what it yields was taken."""

    async def killed(*arguments: Any) -> AsyncGenerator[bytes, None]:
        async for chunk in method(*arguments):
            yield chunk
            kill()

    return killed


UP = {
    "above has it": (Tier, "_confirmed", after),
    "row written": (Index, "let_go", after),
    "file going": (EmbeddedBlobs, "delete", before),
    "file gone": (EmbeddedBlobs, "delete", after),
}
DOWN = {
    "bytes coming": (Tier, "_blocks", amid),
    "bytes here": (EmbeddedBlobWriter, "commit", before),
    "file back": (EmbeddedBlobWriter, "commit", after),
    "row removed": (Index, "came_back", after),
}


@asynccontextmanager
async def opened(folder: Path, there: Endpoint) -> AsyncGenerator[Objects, None]:
    client = HttpClient()
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    objects.replicate_to({"elsewhere": there}, client)
    try:
        await objects.start()
        yield objects
    finally:
        await objects.close()
        await store.close()
        await client.close()


async def let_go(folder: Path, there: Endpoint) -> None:
    async with opened(folder, there) as objects:
        objects.tier.keep = 0
        await objects.tier.make_room()  # what is doomed then goes before the shelf is closed


async def recall(folder: Path, there: Endpoint) -> None:
    async with opened(folder, there) as objects:
        objects.tier.keep = MUCH
        objects.tier._wanted = dict.fromkeys(blob for (blob,) in objects._index.read("SELECT blob FROM away"))
        await objects.tier._recall()


def carried_out(work: Callable[[Path, Endpoint], Awaitable[None]], folder: Path, there: Endpoint, step: str) -> int:
    """The exit status."""
    child = os.fork()
    if child == 0:
        if step:
            owner, name, when = (UP | DOWN)[step]
            setattr(owner, name, when(getattr(owner, name)))
        asyncio.run(work(folder, there))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, there: Endpoint) -> None:
    shutil.copytree(folder / "whole", folder / "gone")
    assert carried_out(let_go, folder / "gone", there, "") == 0
    for steps, begin, work in ((UP, "whole", let_go), (DOWN, "gone", recall)):
        for step in steps:
            shutil.copytree(folder / begin, folder / step)
            print(f"{step}:{carried_out(work, folder / step, there, step)}", flush=True)


if __name__ == "__main__":
    url, access, secret = sys.argv[2:]
    main(Path(sys.argv[1]), Endpoint(url, "us-east-1", Credentials(access, secret)))
