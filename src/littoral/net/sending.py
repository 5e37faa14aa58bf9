"""Response bodies on their way out: iterators in chunks, parts of files by the kernel.

Owns: pacing. Knows no heads and no requests. Both ways wait until the client has taken what was written before
more is produced, so a slow client holds ``Limits.write_buffer`` bytes and not a file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Protocol

from littoral.net.message import FileSlice, Headers, Proof
from littoral.protocols.http1 import last_chunk

WHOLE = 64 * 1024  # a file part up to this is read and sent with its head in one write
_KERNEL_STEP = 1024 * 1024
_READ_STEP = 256 * 1024


class Broken(Exception):
    """The body cannot be completed as its head promised; only closing tells the client so."""


class Outlet(Protocol):
    """The connection, as a sender sees it. ``drained`` raises ConnectionError once the client has gone."""

    def write(self, data: bytes) -> None: ...

    async def drained(self, *, empty: bool = False) -> None:
        """Returns when the write buffer is below its limit, or quite empty."""

    async def watch(self, waiter: asyncio.Future[None]) -> None:
        """Await ``waiter``; it fails with ConnectionError when the client goes."""

    def kernel_socket(self) -> int | None:
        """The descriptor to sendfile to; None over TLS."""


async def send_iterator(
    outlet: Outlet, body: AsyncIterator[bytes], length: int | None, *, chunked: bool, trailers: bool = False
) -> None:
    """Send all that ``body`` yields. With ``length`` it must come to exactly that many bytes, else Broken. Chunks may
    be followed by ``trailers`` where the client takes them and the body has such an attribute."""
    sent = 0
    async for data in body:
        if not data:
            continue
        sent += len(data)
        if length is not None and sent > length:
            raise Broken(f"the body goes on after its {length} bytes")
        if not chunked:
            outlet.write(data)
        elif len(data) < WHOLE:
            outlet.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            outlet.write(b"%x\r\n" % len(data))
            outlet.write(data)
            outlet.write(b"\r\n")
        await outlet.drained()
    if length is not None and sent < length:
        raise Broken(f"the body ended after {sent} of {length} bytes")
    if chunked:
        after: Headers | None = getattr(body, "trailers", None) if trailers else None
        outlet.write(last_chunk(after.raw if after is not None else ()))


def open_slice(part: FileSlice) -> int:
    """A descriptor on the file, checked to hold the part; raises OSError or Broken. The caller closes it."""
    descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
    size = os.fstat(descriptor).st_size
    if part.offset + part.length > size:
        os.close(descriptor)
        raise Broken(f"{part.path.name} has {size} bytes, not {part.offset + part.length}")
    return descriptor


def read_slice(part: FileSlice) -> bytes:
    """A small part at once; raises OSError or Broken."""
    descriptor = open_slice(part)
    try:
        if part.proof is not None:
            for number in _blocks(part.proof, part.offset, part.length):
                _check(part.proof, number, os.pread(descriptor, part.proof.block, number * part.proof.block))
        data = os.pread(descriptor, part.length, part.offset)
    finally:
        os.close(descriptor)
    if len(data) != part.length:
        raise Broken(f"{part.path.name} shrank while it was read")
    return data


async def send_file(outlet: Outlet, descriptor: int, part: FileSlice) -> None:
    """Send that part of an open file; raises Broken when the file shrinks meanwhile or is not sound, ConnectionError,
    OSError."""
    socket = outlet.kernel_socket()
    if socket is None:
        await _send_by_reads(outlet, descriptor, part)
        return
    await outlet.drained(empty=True)  # the head first: the kernel would overtake what the transport still holds
    # uvloop has no loop.sendfile and guards its transports' descriptors: a duplicate may be watched.
    duplicate = os.dup(socket)
    try:
        if part.proof is None:
            await _send_by_kernel(outlet, duplicate, descriptor, part.offset, part.length)
            return
        room = memoryview(bytearray(part.proof.block))
        for number in _blocks(part.proof, part.offset, part.length):
            _check(part.proof, number, await _read_block(descriptor, room, number))
            await _send_by_kernel(outlet, duplicate, descriptor, *_of_block(part, number))
    finally:
        os.close(duplicate)


async def _send_by_kernel(outlet: Outlet, socket: int, descriptor: int, offset: int, length: int) -> None:
    loop = asyncio.get_running_loop()
    while length:
        try:
            sent = os.sendfile(socket, descriptor, offset, min(length, _KERNEL_STEP))
        except BlockingIOError:
            waiter: asyncio.Future[None] = loop.create_future()
            loop.add_writer(socket, _set, waiter)
            try:
                await outlet.watch(waiter)
            finally:
                loop.remove_writer(socket)
            continue
        if sent == 0:
            raise Broken("the file shrank while it was sent")
        offset += sent
        length -= sent
        await asyncio.sleep(0)  # a quick client must not keep the loop for a whole file


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _send_by_reads(outlet: Outlet, descriptor: int, part: FileSlice) -> None:
    if part.proof is None:
        offset, end = part.offset, part.offset + part.length
        stretches = [(at, min(_READ_STEP, end - at)) for at in range(offset, end, _READ_STEP)]
        for at, length in stretches:
            await _write(outlet, await asyncio.to_thread(os.pread, descriptor, length, at), length)
        return
    for number in _blocks(part.proof, part.offset, part.length):
        block = await asyncio.to_thread(os.pread, descriptor, part.proof.block, number * part.proof.block)
        _check(part.proof, number, block)
        at, length = _of_block(part, number)
        begin = at - number * part.proof.block
        await _write(outlet, block[begin : begin + length], length)


async def _write(outlet: Outlet, data: bytes, length: int) -> None:
    if len(data) != length:
        raise Broken("the file shrank while it was sent")
    outlet.write(data)
    await outlet.drained()


# ------------------------------------------------------------------------------------------------------ blocks


def _blocks(proof: Proof, offset: int, length: int) -> range:
    return range(offset // proof.block, -(-(offset + length) // proof.block))


def _of_block(part: FileSlice, number: int) -> tuple[int, int]:
    """Offset and length of what the part has of that block."""
    assert part.proof is not None
    begin = max(part.offset, number * part.proof.block)
    return begin, min(part.offset + part.length, (number + 1) * part.proof.block) - begin


async def _read_block(descriptor: int, room: memoryview, number: int) -> memoryview:
    """At once what the kernel has in memory; what the disk must be asked for is read in a thread."""
    at = number * len(room)
    try:
        size = os.preadv(descriptor, [room], at, os.RWF_NOWAIT)
    except OSError:  # not in memory, or a file system that cannot say
        size = 0
    if size < len(room):
        size = await asyncio.to_thread(os.preadv, descriptor, [room], at)
    return room[:size]


def _check(proof: Proof, number: int, block: bytes | memoryview) -> None:
    if not proof.sound(number, memoryview(block)):
        raise Broken(f"block {number} of the file is not sound")
