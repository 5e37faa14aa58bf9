"""A body that goes out as it lies on the disk, sealed: whoever asked opens it.

Owns: how the two ends say so. A Littoral client asks with ``x-littoral-sealed: frames``, over a connection in wide
records only. A place that has the content in sealed frames answers with what opens them, in the same header: it is in
the head, which is a record. ``content-length`` is that of the frames, which follow the head's record as they are,
outside of any; after them come records again. Who does not know the header answers as ever.

    head, in a record | frames, as many bytes as content-length says | the next head, in a record | …

So a place neither opens nor seals anew what leaves it, which is most of what that costs
(docs/decisions/2026-11-30-leaving-a-box.md says what it promises).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, runtime_checkable

from littoral.net.outward import Lending
from littoral.net.readonce import Stretch, send_once

HEADER: Final = "x-littoral-sealed"
ASKED: Final = "frames"


@dataclass(frozen=True, slots=True)
class Unopened:
    """Where in an open file the frames lie, and what opens them."""

    file: int
    offset: int
    length: int
    opens: str


@runtime_checkable
class Lying(Protocol):
    def unopened(self) -> Unopened | None:
        """Instead of all of its content, as long as it is not closed. None where it does not lie so, or was begun."""


async def send_unopened(outlet: Lending, body: Unopened) -> None:
    """When its head is written, beneath TLS and records. Raises ConnectionError, Broken, OSError."""
    stretch = Stretch(body.file, body.offset, body.length)
    await send_once(outlet, stretch, partial(socket.socket.send, outlet.socket()))
