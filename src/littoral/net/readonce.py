"""Large files that are read once: by a thread to which the connection is lent, past the page cache.

Who copies all that a place has (an import, an export, a transfer) says so by ``x-littoral-once``. The page cache would
gain nothing by it, and loses what others use; where memory is new to a machine its pages cost more than all else does
(docs/decisions/2026-11-30-leaving-a-box.md). A stretch is read into memory that is used again, looked at, and sent.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from littoral.net.message import Proof
from littoral.net.outward import Lending, Outward, stretches
from littoral.net.sending import Broken
from littoral.net.wide import STRETCH

HEADER: Final = "x-littoral-once"
PAGE: Final = 4096  # bytes
BUSY: Final = 0.005  # seconds after which a connection that is not free itself is asked for again
DIRECT: Final[int] = getattr(os, "O_DIRECT", 0)
Send = Callable[[memoryview], int]
Work = Callable[[Outward, int], None]  # from an offset on, as far as it comes; ``drawn`` says how many bytes were sent


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of an open file. With a ``proof`` each block is looked at before any of it goes out."""

    file: int
    offset: int
    length: int
    proof: Proof | None = None


async def send_once(outlet: Lending, stretch: Stretch, send: Send) -> None:
    """By ``send``, when its head is written. Raises ConnectionError, Broken, OSError."""
    await send_by_threads(outlet, stretch.offset, stretch.length, partial(_by_thread, stretch, send))


async def send_by_threads(outlet: Lending, offset: int, length: int, work: Work) -> None:
    """So many bytes, which ``work`` reads and sends; where the client takes nothing the loop waits. Raises
    ConnectionError, Broken, OSError."""
    end = offset + length
    while offset < end:
        lent = await _lent_out(outlet)
        await lent.run(partial(work, lent, offset))
        if lent.short:
            raise Broken(f"the file shrank while it was sent, or is not sound: {end - offset} bytes are missing")
        offset += lent.drawn
        if offset < end:
            await _room(outlet)


async def _lent_out(outlet: Lending) -> Outward:
    """When one of the threads has come back, where all are at work: this is our delay; no client is watched for it."""
    while True:
        await outlet.drained(empty=True)
        lent = outlet.lend_out()
        if lent is not None:
            return lent
        if not await Outward.room():
            await asyncio.sleep(BUSY)


def _by_thread(stretch: Stretch, send: Send, lent: Outward, offset: int) -> None:
    """``drawn`` says how many bytes were sent."""
    end = stretch.offset + stretch.length
    align = PAGE if stretch.proof is None else max(PAGE, stretch.proof.block)
    with stretches.lent() as room:
        while offset < end and not (lent.over or lent.short):
            begin = offset - offset % align
            came = room[: read_past(stretch.file, room[: min(STRETCH, _upto(end - begin, align))], begin)]
            piece = came[offset - begin : end - begin]
            if not piece or not (stretch.proof is None or _sound(stretch.proof, begin, came)):
                lent.short = True
                return
            sent = lent.all_of(piece, send)
            offset += sent
            lent.drawn += sent


def _upto(size: int, align: int) -> int:
    return -(-size // align) * align


def _sound(proof: Proof, begin: int, came: memoryview) -> bool:
    return all(
        proof.sound((begin + at) // proof.block, came[at : at + proof.block]) for at in range(0, len(came), proof.block)
    )


def read_past(file: int, room: memoryview, offset: int) -> int:
    """What lies there, fewer bytes at the end of the file only; ``offset`` and ``room`` begin on a page. Raises
    OSError."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    with suppress(OSError):  # a file system that has no such way
        fcntl.fcntl(file, fcntl.F_SETFL, flags | DIRECT)
    try:
        return os.preadv(file, [room], offset)
    except OSError as problem:
        if problem.errno != errno.EINVAL:
            raise
        fcntl.fcntl(file, fcntl.F_SETFL, flags & ~DIRECT)
        return os.preadv(file, [room], offset)


async def _room(outlet: Lending) -> None:
    """Returns when the client has taken something. Raises ConnectionError."""
    loop, sock = asyncio.get_running_loop(), outlet.socket()
    if sock.fileno() < 0:  # it was seen while the thread came back
        raise ConnectionResetError("the client has gone")
    watched = os.dup(sock.fileno())  # uvloop guards its transports' own
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_writer(watched, _set, waiter)
    try:
        await outlet.watch(waiter)
    finally:
        loop.remove_writer(watched)
        os.close(watched)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
