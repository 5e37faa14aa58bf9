"""A place: capabilities composed by its kind, with one lifecycle.

    place = await build(settings)   # nothing runs yet
    await place.start()             # provision → start → listen; undone in full when a step fails
    place.listeners()               # [("api", "http://127.0.0.1:4566"), …]
    await place.drain(grace)        # listeners refuse, what runs may finish
    await place.stop()              # everything closed, in the reverse order of its start

``littoral.site.region``, ``.edge``, ``.core`` and ``.box`` say what each kind consists of; they add parts with ``part``
and listeners with ``listening``. This module knows the order, not the parts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from littoral.site.settings import Settings

log = logging.getLogger("littoral.site")


class Misconfigured(Exception):
    """A place lacks a setting that its kind needs; the message says which."""


class Listening(Protocol):
    """What ``littoral.net.listen`` returns."""

    @property
    def port(self) -> int: ...

    async def close(self, grace: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Named:
    """A listener as people know it: ``name`` in the output, ``scheme`` of its address."""

    name: str
    scheme: str
    host: str
    listener: Listening

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in {"", "0.0.0.0", "::"} else self.host
        return f"{self.scheme}://{host}:{self.listener.port}"


Composition = Callable[["Place"], Awaitable[None]]


class Place:
    """One place of one kind. Made by ``build``."""

    def __init__(self, settings: Settings, compose: Composition) -> None:
        self.settings = settings
        self._compose = compose
        self._parts = AsyncExitStack()
        self._quiet = AsyncExitStack()
        self._named: list[Named] = []
        self.ready = False
        self.again = False  # once it has stopped

    def restart(self) -> None:
        """Stop in order, as at SIGTERM, and start anew as the same process."""
        self.again = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def start(self) -> None:
        """Raises what the failing part raises; what had started is stopped before."""
        try:
            await self._compose(self)
        except BaseException:
            await self.stop()
            raise
        self.ready = True

    def part(self, close: Callable[[], Awaitable[object]]) -> None:
        """Remember how to stop what was just started."""
        self._parts.push_async_callback(close)

    def quiet(self, close: Callable[[], Awaitable[object]]) -> None:
        """Remember how to end what would hold a listener's last requests up, such as long polls."""
        self._quiet.push_async_callback(close)

    def listening(self, name: str, scheme: str, host: str, listener: Listening) -> None:
        """Remember a listener; listeners are closed before any part."""
        self._named.append(Named(name, scheme, host, listener))

    def listeners(self) -> list[tuple[str, str]]:
        return [(named.name, named.url) for named in self._named]

    def url(self, name: str) -> str:
        """The address of a listener of this place. Raises KeyError where it has none of that name."""
        return dict(self.listeners())[name]

    async def drain(self, grace: float) -> None:
        """No new work; what runs has ``grace`` seconds."""
        self.ready = False
        await self._quiet.aclose()
        named, self._named = self._named, []
        await asyncio.gather(*(each.listener.close(grace) for each in named))

    async def stop(self) -> None:
        await self.drain(0.0)
        await self._parts.aclose()


async def build(settings: Settings) -> Place:
    """The place that the settings describe. What other kinds consist of is not loaded."""
    if settings.kind == "core":
        from littoral.site.core import compose
    elif settings.kind == "box":
        from littoral.site.box import compose
    elif settings.kind == "edge":
        from littoral.site.edge import compose
    elif settings.kind == "region":
        from littoral.site.region import compose
    else:
        from littoral.site.region import compose_with_edge as compose
    return Place(settings, compose)
