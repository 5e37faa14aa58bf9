"""A body that goes out as it lies on the disk, sealed: whoever asked opens it.

Owns: how the two ends say so. A Littoral client asks with ``x-littoral-sealed: frames``, over a connection in wide
records only. A place that has the content in sealed frames answers with what opens them, in the same header: it is in
the head, which is a record. ``content-length`` is that of the frames, which follow the head's record as they are,
outside of any; after them come records again. Who does not know the header answers as ever.

    head, in a record | frames, as many bytes as content-length says | the next head, in a record | …

What lies in several pieces (an object that came in smaller parts than it is read in) goes one after another, and the
header has what opens each, with commas between.

So a place neither opens nor seals anew what leaves it, which is most of what that costs
(docs/decisions/2026-11-30-leaving-a-box.md says what it promises).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO
from functools import partial
from typing import Final, Protocol, runtime_checkable

from littoral.net.outward import Lending, Outward
from littoral.net.readonce import send_by_threads
from littoral.net.wide import STRETCH

HEADER: Final = "x-littoral-sealed"
ASKED: Final = "frames"
BETWEEN: Final = ","  # what opens one piece and the next, in the header
AHEAD: Final = 2 * STRETCH  # bytes


@dataclass(frozen=True, slots=True)
class Unopened:
    """Where in an open file the frames lie, and what opens them."""

    file: int
    offset: int
    length: int
    opens: str


@runtime_checkable
class Lying(Protocol):
    async def unopened(self) -> Sequence[Unopened]:
        """Instead of all of its content, as long as it is not closed: its pieces in order. Empty where it does not
        lie so, or was begun."""


def opening(pieces: Sequence[Unopened]) -> tuple[str, str]:
    """What the head says of them: ``content-length`` and ``HEADER``."""
    return str(sum(piece.length for piece in pieces)), BETWEEN.join(piece.opens for piece in pieces)


async def send_unopened(outlet: Lending, pieces: Sequence[Unopened]) -> None:
    """When their head is written, beneath TLS and records. Raises ConnectionError, Broken, OSError."""
    for piece in pieces:
        await send_by_threads(outlet, piece.offset, piece.length, partial(_by_thread, piece, outlet.socket()))


def _by_thread(body: Unopened, sock: socket.socket, lent: Outward, offset: int) -> None:
    """The kernel's work, but that what comes next is read from the disk while it sends."""
    end = body.offset + body.length
    _ahead(body, offset, min(AHEAD, end - offset))
    while offset < end and not lent.over:
        size = min(STRETCH, end - offset)
        _ahead(body, offset + AHEAD, min(size, end - offset - AHEAD))
        sent = lent.all_by(partial(_sent, body.file, sock, lent, offset, size), size)
        offset += sent
        lent.drawn += sent


def _sent(file: int, sock: socket.socket, lent: Outward, offset: int, size: int, done: int) -> int:
    """Raises OSError of the socket's."""
    try:
        sent = os.sendfile(sock.fileno(), file, offset + done, size - done)
    except OSError as problem:
        if problem.errno != EIO:
            raise
        sent = 0
    if not sent:  # the file has no more, or cannot be read
        lent.short = lent.over = True
    return sent


def _ahead(body: Unopened, offset: int, size: int) -> None:
    if size > 0 and hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(body.file, offset, size, os.POSIX_FADV_WILLNEED)
