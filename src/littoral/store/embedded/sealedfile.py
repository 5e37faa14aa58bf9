"""A new file whose content is sealed on its way to the disk.

Frames are made right in a stride, which is written past the page cache (``past``) when it is full: what a frame's own
memory and the cache's copy cost is a third of a large sealed write. A frame that lies across the end of a stride, one
in sixteen, is made beside it. What comes in frames already is put into the stride as it is.
"""

from __future__ import annotations

from pathlib import Path

from littoral.store import strides
from littoral.store.frames import SEALED, Sealer
from littoral.store.past import NewFile
from littoral.store.strides import STRIDE


class SealedFile:
    """Raises OSError. ``close`` it, after which it holds no memory."""

    def __init__(self, path: Path, head: bytes, sealer: Sealer) -> None:
        self._file = NewFile(path)
        self._sealer = sealer
        self._stride = strides.take()
        self._filled = 0
        self._closed = False
        self._ahead = 0  # bytes of the next frame that lie in the file already
        self._whole = False  # the last frame, too
        self._put(head)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        for frame in self._sealer.whole(data):
            end = self._filled + SEALED
            if end <= STRIDE and not self._ahead:
                self._sealer.seal_into(frame, self._stride[self._filled : end])
                self._filled = end
            else:
                beside = memoryview(bytearray(SEALED))
                self._sealer.seal_into(frame, beside)
                self._put_frame(beside)

    @property
    def room(self) -> memoryview:
        """Where frames may be put that are sealed already (``came``), by the same key; never none."""
        return self._stride[self._filled :]

    def came(self, count: int) -> None:
        """So many bytes were."""
        self._filled += count
        self._write_full()

    def go_on(self, number: int, begun: int, *, whole: bool) -> None:
        """So many frames have come, and of another so many bytes, which are made anew with the rest of it; or all."""
        self._sealer.skip(number)
        self._ahead = begun
        self._whole = whole

    def sync(self) -> None:
        """The last frame is made; all of it is durable."""
        if not self._whole:
            self._put_frame(self._sealer.finish())
        if self._filled:
            self._file.write(self._stride[: self._filled])
        self._file.sync()

    def close(self) -> None:
        """More than once does no harm."""
        self._file.close()
        if not self._closed:
            self._closed = True
            strides.give(self._stride)

    def _put_frame(self, frame: bytes | memoryview) -> None:
        self._put(memoryview(frame)[self._ahead :])
        self._ahead = 0

    def _put(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            taken = min(len(left), STRIDE - self._filled)
            self._stride[self._filled : self._filled + taken] = left[:taken]
            self._filled += taken
            left = left[taken:]
            self._write_full()

    def _write_full(self) -> None:
        if self._filled == STRIDE:
            self._file.write(self._stride)
            self._filled = 0
