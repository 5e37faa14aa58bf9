"""One end of the connection between a region and a machine: frames, room to write, signs of life."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from abc import abstractmethod
from typing import Any, Final, cast

from littoral.training.elsewhere.frames import Broken, Decoder, Kind, frame

log = logging.getLogger(__name__)

SUBPROTOCOL: Final = "littoral-training-host"
PATH: Final = "/_littoral/training/hosts"
HIGH: Final = 1 << 20  # bytes that wait to be sent, where nothing more is read for it
LOW: Final = HIGH // 4  # where it is again
FULL: Final = 16 << 20  # beyond which packets are dropped, and lines
BEAT: Final = 5.0  # seconds
SILENCE: Final = 30.0  # after which the other side is gone


class Line(asyncio.Protocol):
    def __init__(self) -> None:
        self.over = asyncio.Event()
        self._frames = Decoder()
        self._transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._heard_at = time.monotonic()

    # ----------------------------------------------------------------------------------------------- sending

    def send(self, kind: Kind, body: bytes = b"") -> None:
        """Nothing, where the other side has gone."""
        if self._transport is not None and not self.over.is_set():
            self._transport.write(frame(kind, body))

    def tell(self, kind: Kind, **members: Any) -> None:
        self.send(kind, json.dumps(members).encode())

    def packet(self, packet: bytes) -> None:
        """One that finds no room is dropped."""
        if not self.full:
            self.send(Kind.PACKET, packet)

    @property
    def full(self) -> bool:
        """Whether more waits to be sent than ought to."""
        return self._transport is not None and self._transport.get_write_buffer_size() > FULL

    async def room(self) -> None:
        """When more may be sent, or nothing can be any more."""
        await self._room.wait()

    def beat(self) -> None:
        """Once in BEAT seconds."""
        if time.monotonic() - self._heard_at > SILENCE:
            log.warning("%s is silent", self)
            self.abort()
        self.send(Kind.ALIVE)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """After what was sent."""
        if self._transport is not None:
            self._transport.close()

    # ----------------------------------------------------------------------------------------------- hearing

    @abstractmethod
    def heard(self, kind: Kind, body: bytes) -> None:
        """Raises Broken."""

    @abstractmethod
    def lost(self) -> None:
        """Called once, when nothing more comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH, LOW)

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            for kind, body in self._frames.feed(data):
                self.heard(kind, body)
        except (Broken, OSError) as problem:
            log.warning("%s: %s", self, problem)
            self.abort()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.is_set():
            self.over.set()
            self._room.set()
            self.lost()
