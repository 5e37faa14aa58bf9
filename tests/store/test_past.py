"""Files written past the page cache are as other files."""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
from pathlib import Path

import pytest

from littoral.spare import KEPT
from littoral.store import past, strides
from littoral.store.past import DIRECT, NewFile
from littoral.store.strides import STRIDE, is_whole


def test_whole_strides_and_what_lies_between_become_one_file(tmp_path: Path) -> None:
    chance = random.Random(1)
    file, expected, went_past = NewFile(tmp_path / "file"), b"", 0
    for size in (STRIDE, STRIDE, 700, STRIDE, 4096, 0, STRIDE - 700 - 4096, STRIDE, 5):
        stride = strides.take()
        stride[:] = chance.randbytes(STRIDE)
        data = stride if size == STRIDE else stride[:size]
        expected += data
        file.write(data)
        went_past += bool(fcntl.fcntl(file._file, fcntl.F_GETFL) & DIRECT)
        strides.give(stride)
    file.sync()
    file.close()
    file.close()
    assert (tmp_path / "file").read_bytes() == expected
    assert went_past in ((3, 0) if past.DIRECT else (0,))  # none where the file system knows no such way


@pytest.mark.skipif(not DIRECT, reason="this system always writes through the cache")
def test_what_the_disk_does_not_take_directly_goes_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "is_whole", lambda data: True)
    data = os.urandom(STRIDE + 3)
    file = NewFile(tmp_path / "file")
    file.write(memoryview(data)[3:])  # of no page, and of no sector
    file.write(data[:1001])
    file.write(data)
    file.close()
    assert (tmp_path / "file").read_bytes() == data[3:] + data[:1001] + data


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        NewFile(tmp_path / "file")


def test_only_all_of_a_stride_is_whole() -> None:
    stride = strides.take()
    assert is_whole(stride)
    assert is_whole(stride[:])
    assert not is_whole(stride[: STRIDE - 1])
    assert not is_whole(stride[1:])
    assert not is_whole(memoryview(bytearray(STRIDE)))
    assert not is_whole(b"x" * STRIDE)
    strides.give(stride)


def test_strides_begin_where_a_huge_page_may_and_hold_what_is_put_there() -> None:
    taken = [strides.take() for _ in range(5)]
    for number, each in enumerate(taken):
        each[:] = bytes([number]) * STRIDE
        assert ctypes.addressof(ctypes.c_ubyte.from_buffer(each)) % STRIDE == 0
    assert [bytes(each) == bytes([number]) * STRIDE for number, each in enumerate(taken)] == [True] * 5
    for each in taken:
        strides.give(each)


def test_few_strides_wait_for_use() -> None:
    taken = [strides.take() for _ in range(KEPT + 3)]
    for each in taken:
        strides.give(each)
    assert len(strides._spare) == KEPT
