"""Bytes at rest that only a key opens, in frames (``protocols.frames``): content in, frames out, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from littoral.protocols.frames import FRAME, KEY_BYTES, SEALED, TAG, BadFrame, Frames, sealed_size
from littoral.store.contract import StoreError

__all__ = ["FRAME", "KEY_BYTES", "SEALED", "TAG", "sealed_size"]
_NOT_WRITTEN = "a frame of the sealed content is not what was written"


class CannotOpen(StoreError):
    """It was sealed by another key or for another place, or is not whole."""


def sealed_span(size: int, offset: int, length: int) -> tuple[int, int]:
    """Where the frames lie that hold this stretch (``length`` > 0) of a content of ``size``: offset and length."""
    first, last = offset // FRAME, (offset + length - 1) // FRAME
    return first * SEALED, min((last + 1) * SEALED, sealed_size(size)) - first * SEALED


class Sealer:
    """Content in, frames out, in order. ``name`` is the blob's, in hex digits."""

    def __init__(self, key: bytes, name: str) -> None:
        self._frames = Frames(key, name)
        self._held: bytes = b""

    def update(self, data: bytes | bytearray | memoryview) -> bytes:
        """All frames but the last, which ``finish`` makes."""
        return b"".join([self._frames.seal(frame, last=False) for frame in self.whole(data)])

    def whole(self, data: bytes | bytearray | memoryview) -> Iterator[bytes | memoryview]:
        """The contents of those frames, each to be sealed (``seal_into``) before the next is asked for."""
        view = memoryview(data)
        if len(self._held) + len(view) <= FRAME:
            self._held += view
            return
        if self._held:
            missing = FRAME - len(self._held)
            first, view = self._held + view[:missing], view[missing:]
            self._held = b""
            yield first
        whole = max(0, len(view) - 1) // FRAME * FRAME
        self._held = bytes(view[whole:])
        for at in range(0, whole, FRAME):
            yield view[at : at + FRAME]

    def seal_into(self, frame: bytes | memoryview, room: memoryview) -> None:
        """A frame that is not the last, into as many bytes as it has sealed."""
        self._frames.seal_into(frame, room, last=False)

    def skip(self, number: int) -> None:
        """So many frames were sealed by somebody else; nothing has been sealed here."""
        self._frames.number = number

    def finish(self) -> bytes:
        return self._frames.seal(self._held, last=True)


class Opener:
    """Frames in, content out: the stretch from ``offset`` on of a content of ``size``, from the bytes that
    ``sealed_span`` names."""

    def __init__(self, key: bytes, name: str, size: int, offset: int, length: int) -> None:
        self._frames = Frames(key, name, offset // FRAME)
        self._last = max(0, size - 1) // FRAME
        self._skip = offset % FRAME
        self._left = length
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """Raises CannotOpen."""
        held = memoryview(self._held + data if self._held else data)
        whole = len(held) // SEALED * SEALED
        self._held = bytes(held[whole:])
        return b"".join([self._opened(held[at : at + SEALED]) for at in range(0, whole, SEALED)])

    def open_into(self, frames: memoryview, room: memoryview) -> int:
        """Whole frames, from where the last call ended; how many bytes of them lie in ``room``, which has as many as
        are in them or as are wanted. Nothing is held then. Raises CannotOpen."""
        made = 0
        for at in range(0, len(frames), SEALED):
            frame = frames[at : at + SEALED]
            size = len(frame) - TAG
            if self._skip or size > self._left:
                wanted = self._opened(frame)
                room[made : made + len(wanted)] = wanted
                made += len(wanted)
                continue
            try:
                self._frames.open_into(frame, room[made : made + size], last=self._frames.number == self._last)
            except BadFrame as problem:
                raise CannotOpen(_NOT_WRITTEN) from problem
            made += size
            self._left -= size
        return made

    def finish(self) -> bytes:
        """Raises CannotOpen, also where bytes are missing."""
        found = self._opened(self._held) if self._held else b""
        if self._left:
            raise CannotOpen("the sealed content is too short")
        return found

    def _opened(self, frame: bytes | memoryview) -> bytes:
        try:
            content = self._frames.open(frame, last=self._frames.number == self._last)
        except BadFrame as problem:
            raise CannotOpen(_NOT_WRITTEN) from problem
        wanted = content[self._skip : self._skip + self._left]
        self._skip = 0
        self._left -= len(wanted)
        return wanted


def sealed(key: bytes, name: str, content: bytes) -> bytes:
    sealer = Sealer(key, name)
    return sealer.update(content) + sealer.finish()


def opened(key: bytes, name: str, size: int, data: bytes) -> bytes:
    """A whole content of that size. Raises CannotOpen."""
    opener = Opener(key, name, size, 0, size)
    return opener.update(data) + opener.finish()
