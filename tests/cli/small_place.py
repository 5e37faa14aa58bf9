"""A process with a place of one listener, for the tests of the lifecycle: ``python -m tests.cli.small_place``.

Arguments as of ``littoral up``. What it is asked decides what happens: /slow answers after the drain began.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Answer, Request, Response
from littoral.site.lifecycle import run
from littoral.site.settings import Settings, load


class SmallPlace:
    again = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = asyncio.Event()
        self.listener: HttpListener | None = None

    async def start(self) -> None:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        if self.settings.name == "broken":
            raise RuntimeError("the store is in use\nby another place")
        if self.settings.name == "slow-start":
            print("starting", flush=True)
            await asyncio.Event().wait()
        assert self.settings.port is not None
        self.listener = await listen_http(self.handle, port=self.settings.port)
        logging.getLogger("littoral.test").info("Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=s3cret")

    async def handle(self, request: Request) -> Answer:
        if request.target == "/slow":
            print("asked", file=sys.stderr, flush=True)
            await self.draining.wait()
        if request.target == "/never":
            print("asked", file=sys.stderr, flush=True)
            await asyncio.Event().wait()
        return Response(200, body=b"answered")

    def listeners(self) -> Sequence[tuple[str, str]]:
        assert self.listener is not None
        return [("api", f"http://127.0.0.1:{self.listener.port}")]

    async def drain(self, grace: float) -> None:
        self.draining.set()
        assert self.listener is not None
        await self.listener.close(grace)

    async def stop(self) -> None:
        if self.listener is not None:
            await self.listener.close(0)
        (self.settings.data_dir / "stopped").touch()


async def build(settings: Settings) -> SmallPlace:
    return SmallPlace(settings)


if __name__ == "__main__":
    words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    sys.exit(run(load(dict(words), os.environ, Path.home()).settings, build))
