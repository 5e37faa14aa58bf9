"""Bodies on their way into blobs: nothing is lost, mixed up or left under way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from awscrt.checksums import crc64nvme
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.objects.checksums import ALGORITHMS, Digests
from littoral.objects.content import Chunks
from littoral.objects.etags import stand_in
from littoral.objects.pouring import pour
from littoral.spare import KEPT
from littoral.store import strides
from littoral.store.contract import BlobInfo, StorageFailed
from littoral.store.frames import Opener, Sealer
from littoral.store.strides import STRIDE

KEY, NAME = bytes(range(32)), "ab" * 16


class Kept:
    """A writer that is slow, as a disk is; at a size that it is told it fails."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.data, self.room, self.writing = bytearray(), room, 0

    async def write(self, chunk: bytes | memoryview) -> None:
        self.writing += 1
        await asyncio.sleep(0)
        if len(self.data) + len(chunk) > self.room:
            self.writing -= 1
            raise StorageFailed("full")
        await asyncio.to_thread(self.data.extend, chunk)
        self.writing -= 1

    async def commit(self) -> BlobInfo:
        raise AssertionError

    async def abort(self) -> None:
        raise AssertionError


def body(data: bytes, sizes: list[int]) -> Chunks:
    async def chunks() -> AsyncIterator[bytes]:
        at, turn = 0, 0
        while at < len(data):
            yield data[at : at + sizes[turn % len(sizes)]]
            at += sizes[turn % len(sizes)]
            turn += 1

    return Chunks(chunks())


@settings(max_examples=15, deadline=None)
@given(
    size=st.sampled_from([0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 2 * STRIDE, 3 * STRIDE + 77]),
    sizes=st.lists(st.sampled_from([999, 64 * 1024, 256 * 1024, STRIDE, STRIDE + 5]), min_size=1, max_size=4),
    sealing=st.booleans(),
)
async def test_what_comes_is_what_is_written_and_hashed(size: int, sizes: list[int], sealing: bool) -> None:
    data = hashlib.shake_128(b"x").digest(size)
    writer, digests = Kept(), Digests(ALGORITHMS["SHA256"])
    await pour(body(data, sizes), digests, writer, Sealer(KEY, NAME) if sealing else None)
    written = bytes(writer.data)
    if sealing:
        opener = Opener(KEY, NAME, size, 0, size)
        written = opener.update(written) + opener.finish()
    assert written == data
    assert (digests.size, digests.md5) == (size, hashlib.md5(data, usedforsecurity=False).digest())


@settings(max_examples=5, deadline=None)
@given(size=st.sampled_from([1, STRIDE, 2 * STRIDE + 1, 5 * STRIDE + 77]))
async def test_what_needs_no_md5_is_hashed_on_its_way(size: int) -> None:
    data = hashlib.shake_128(b"y").digest(size)
    writer, digests = Kept(), Digests(ALGORITHMS["CRC64NVME"], by_checksum=True)
    await pour(body(data, [300_000]), digests, writer, None)
    assert bytes(writer.data) == data
    known = base64.b64encode(crc64nvme(data).to_bytes(8)).decode()
    assert (digests.size, digests.checksum, digests.tag) == (size, known, stand_in(known, size))


async def test_a_disk_that_fails_ends_it_and_memory_comes_back() -> None:
    before = len(strides._spare)
    with pytest.raises(StorageFailed):
        await pour(body(b"x" * 5 * STRIDE, [STRIDE]), Digests(), Kept(2 * STRIDE), None)
    assert len(strides._spare) >= min(KEPT, before)


async def test_who_is_cancelled_leaves_nothing_under_way() -> None:
    writer, waiting = Kept(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 3 * STRIDE
        waiting.set()
        await asyncio.Event().wait()

    pouring = asyncio.create_task(pour(Chunks(chunks()), Digests(), writer, None))
    await asyncio.wait_for(waiting.wait(), 20)
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring
    assert writer.writing == 0
