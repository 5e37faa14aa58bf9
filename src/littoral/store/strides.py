"""Large contents on their way to the disk, a stride at a time: memory that begins on a page and is used again.

New memory is dear: the kernel clears each page of it, and a hypervisor may have to find it first (a second for each
GB here). So strides that nobody uses any more wait for the next content, a few of them. Two lie in one huge page, where
the system has such: of 4 KiB each page is looked up for each write, and the disk is told of it.

What fills a whole stride can be written past the page cache (``open(2)``, O_DIRECT): the disk takes it from where it
lies, nothing is copied, and ``fsync`` finds nothing left to write.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap

STRIDE = 1024 * 1024  # bytes; a multiple of what any disk calls a sector
KEPT = 8  # strides that wait for use
HUGE = 2 * STRIDE  # bytes of a huge page

_Memory = ctypes.c_ubyte * STRIDE  # of its mapping, which goes with the last of them
_free: list[ctypes.Array[ctypes.c_ubyte]] = []


def take() -> memoryview:
    """A stride, with whatever it last held; from any thread. ``give`` it back when nobody looks at it any more."""
    try:
        memory = _free.pop()
    except IndexError:
        memory, other = _pair()
        _free.append(other)
    return memoryview(memory).cast("B")


def give(stride: memoryview) -> None:
    memory = stride.obj
    stride.release()
    if isinstance(memory, _Memory) and len(_free) < KEPT:
        _free.append(memory)


def is_whole(data: object) -> bool:
    """Whether this is all of a stride: it begins on a page, and ends on one."""
    return isinstance(data, memoryview) and isinstance(data.obj, _Memory) and data.nbytes == STRIDE


def _pair() -> tuple[ctypes.Array[ctypes.c_ubyte], ctypes.Array[ctypes.c_ubyte]]:
    """Of one huge page."""
    mapped = mmap.mmap(-1, 2 * HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # it begins anywhere
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without
            mapped.madvise(mmap.MADV_HUGEPAGE)
    begin = -ctypes.addressof(ctypes.c_ubyte.from_buffer(mapped)) % HUGE
    return _Memory.from_buffer(mapped, begin), _Memory.from_buffer(mapped, begin + STRIDE)
