"""Large contents on their way to the disk, a stride at a time: memory that begins on a page and is used again.

New memory is dear: the kernel clears each page of it, and a hypervisor may have to find it first (a second for each
GB here). So strides that nobody uses any more wait for the next content, a few of them.

What fills a whole stride can be written past the page cache (``open(2)``, O_DIRECT): the disk takes it from where it
lies, nothing is copied, and ``fsync`` finds nothing left to write.
"""

from __future__ import annotations

import mmap

STRIDE = 1024 * 1024  # bytes; a multiple of what any disk calls a sector
KEPT = 8  # strides that wait for use

_free: list[mmap.mmap] = []


def take() -> memoryview:
    """A stride, with whatever it last held; from any thread. ``give`` it back when nobody looks at it any more."""
    try:
        return memoryview(_free.pop())
    except IndexError:
        return memoryview(mmap.mmap(-1, STRIDE))


def give(stride: memoryview) -> None:
    memory = stride.obj
    stride.release()
    if isinstance(memory, mmap.mmap) and len(_free) < KEPT:
        _free.append(memory)


def is_whole(data: object) -> bool:
    """Whether this is all of a stride: it begins on a page, and ends on one."""
    return isinstance(data, memoryview) and isinstance(data.obj, mmap.mmap) and data.nbytes == STRIDE
