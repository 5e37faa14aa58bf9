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

from littoral.spare import Spare

STRIDE = 1024 * 1024  # bytes; a multiple of what any disk calls a sector
HUGE = 2 * STRIDE  # bytes of a huge page

_Memory = ctypes.c_ubyte * STRIDE  # of its mapping, which goes with the last of them


def take() -> memoryview:
    """A stride, with whatever it last held; from any thread. ``give`` it back when nobody looks at it any more."""
    return memoryview(_spare.take()).cast("B")


def give(stride: memoryview) -> None:
    memory = stride.obj
    stride.release()
    if isinstance(memory, _Memory):
        _spare.give(memory)


def is_whole(data: object) -> bool:
    """Whether this is all of a stride: it begins on a page, and ends on one."""
    return isinstance(data, memoryview) and isinstance(data.obj, _Memory) and data.nbytes == STRIDE


def _made() -> ctypes.Array[ctypes.c_ubyte]:
    """One of two in a huge page; the other waits."""
    mapped = mmap.mmap(-1, 2 * HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # it begins anywhere
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without
            mapped.madvise(mmap.MADV_HUGEPAGE)
    begin = -ctypes.addressof(ctypes.c_ubyte.from_buffer(mapped)) % HUGE
    _spare.give(_Memory.from_buffer(mapped, begin + STRIDE))
    return _Memory.from_buffer(mapped, begin)


_spare = Spare(_made)
