"""Bytes at rest that only a key opens: AES-256-GCM in frames of 64 KiB. Pure.

Each frame is authenticated with its place: the name of the blob it is in, its number, and whether it is the last. So
what is cut off, put elsewhere, exchanged or repeated is noticed, and any stretch can be read without what lies before
it. A nonce is the blob's name and the frame's number; a name is of chance and never used again, and a key is one
object's.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from littoral.store.contract import StoreError

FRAME = 64 * 1024  # bytes of content in a frame; the last may have fewer
TAG = 16
SEALED = FRAME + TAG
KEY_BYTES = 32


class CannotOpen(StoreError):
    """It was sealed by another key or for another place, or is not whole."""


def sealed_size(size: int) -> int:
    """Of a content of that many bytes; an empty one is a frame, too."""
    return size + TAG * max(1, -(-size // FRAME))


def sealed_span(size: int, offset: int, length: int) -> tuple[int, int]:
    """Where the frames lie that hold this stretch (``length`` > 0) of a content of ``size``: offset and length."""
    first, last = offset // FRAME, (offset + length - 1) // FRAME
    return first * SEALED, min((last + 1) * SEALED, sealed_size(size)) - first * SEALED


class _Frames:
    def __init__(self, key: bytes, name: str, number: int = 0) -> None:
        self._cipher = AESGCM(key)
        self._name = bytes.fromhex(name)
        self._number = number

    def _place(self, *, last: bool) -> tuple[bytes, bytes]:
        """Nonce and associated data of the next frame."""
        number = self._number.to_bytes(4)
        self._number += 1
        return self._name[:8] + number, self._name + number + (b"\1" if last else b"\0")


class Sealer(_Frames):
    """Content in, frames out, in order. ``name`` is the blob's, in hex digits."""

    _held = b""

    def update(self, data: bytes | bytearray | memoryview) -> bytes:
        """All frames but the last, which ``finish`` makes."""
        return b"".join([self._sealed(frame, last=False) for frame in self.whole(data)])

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
        nonce, about = self._place(last=False)
        self._cipher.encrypt_into(nonce, frame, about, room)

    def finish(self) -> bytes:
        return self._sealed(self._held, last=True)

    def _sealed(self, frame: bytes | memoryview, *, last: bool) -> bytes:
        nonce, about = self._place(last=last)
        return self._cipher.encrypt(nonce, frame, about)


class Opener(_Frames):
    """Frames in, content out: the stretch from ``offset`` on of a content of ``size``, from the bytes that
    ``sealed_span`` names."""

    def __init__(self, key: bytes, name: str, size: int, offset: int, length: int) -> None:
        super().__init__(key, name, offset // FRAME)
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

    def finish(self) -> bytes:
        """Raises CannotOpen, also where bytes are missing."""
        found = self._opened(self._held) if self._held else b""
        if self._left:
            raise CannotOpen("the sealed content is too short")
        return found

    def _opened(self, frame: bytes | memoryview) -> bytes:
        nonce, about = self._place(last=self._number == self._last)
        try:
            content = self._cipher.decrypt(nonce, frame, about)
        except InvalidTag as problem:
            raise CannotOpen("a frame of the sealed content is not what was written") from problem
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
