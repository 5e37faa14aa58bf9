"""Content in frames of 64 KiB that only a key opens, each where it was put: AES-256-GCM. Pure.

Owns: what a frame is. Each is authenticated with its place: the name of what it is a part of, its number, and whether
it is the last. So what is cut off, put elsewhere, exchanged or repeated is noticed, and any stretch can be opened
without what lies before it. A nonce is the name's first half and the frame's number; a name is of chance and never used
again, and a key is one content's.

So they lie on a disk (``store.frames``), and so they may come (``widerecords``), which spares the place sealing anew.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FRAME: Final = 64 * 1024  # bytes of content in a frame; the last may have fewer
TAG: Final = 16
SEALED: Final = FRAME + TAG
KEY_BYTES: Final = 32
NAME_BYTES: Final = 16
MOST: Final = FRAME << 32  # bytes of a content: a frame's number has 32 bits


class BadFrame(Exception):
    """It was sealed by another key or for another place, or is not whole."""


def sealed_size(size: int) -> int:
    """Of a content of that many bytes; an empty one is a frame, too."""
    return size + TAG * max(1, -(-size // FRAME))


class Frames:
    """Of one content, one after the other from ``number`` on. ``name`` is in hex digits."""

    def __init__(self, key: bytes, name: str, number: int = 0) -> None:
        self._cipher = AESGCM(key)
        self._name = bytes.fromhex(name)
        self.number = number  # of the next

    def _place(self, *, last: bool) -> tuple[bytes, bytes]:
        """Nonce and associated data of the next frame."""
        number = self.number.to_bytes(4)
        self.number += 1
        return self._name[:8] + number, self._name + number + (b"\1" if last else b"\0")

    def seal(self, content: bytes | memoryview, *, last: bool) -> bytes:
        nonce, about = self._place(last=last)
        return self._cipher.encrypt(nonce, content, about)

    def seal_into(self, content: bytes | memoryview, room: memoryview, *, last: bool) -> None:
        """``room`` has ``TAG`` bytes more than the content."""
        nonce, about = self._place(last=last)
        self._cipher.encrypt_into(nonce, content, about, room)

    def seal_whole(self, content: memoryview, room: memoryview) -> int:
        """Of the content as many frames of the full size as are in it, none of them the last, one behind the other; how
        many bytes they have."""
        seal, first, name, number = self._cipher.encrypt_into, self._name[:8], self._name, self.number
        count = len(content) // FRAME
        for at in range(count):
            place = (number + at).to_bytes(4)
            frame = room[at * SEALED : at * SEALED + SEALED]
            seal(first + place, content[at * FRAME : at * FRAME + FRAME], name + place + b"\0", frame)
        self.number += count
        return count * SEALED

    def open(self, frame: bytes | memoryview, *, last: bool) -> bytes:
        """Raises BadFrame."""
        nonce, about = self._place(last=last)
        try:
            return self._cipher.decrypt(nonce, frame, about)
        except InvalidTag:
            raise BadFrame("a frame is not what was sealed") from None

    def open_whole(self, sealed: memoryview, room: memoryview) -> int:
        """The other way: of as many frames of the full size as are there, none of them the last; how many bytes of
        content. Raises BadFrame, and of that frame ``room`` has nothing then."""
        open_, first, name, number = self._cipher.decrypt_into, self._name[:8], self._name, self.number
        count = len(sealed) // SEALED
        for at in range(count):
            place = (number + at).to_bytes(4)
            content = room[at * FRAME : at * FRAME + FRAME]
            try:
                open_(first + place, sealed[at * SEALED : at * SEALED + SEALED], name + place + b"\0", content)
            except InvalidTag:
                content[:] = bytes(FRAME)
                raise BadFrame("a frame is not what was sealed") from None
        self.number += count
        return count * FRAME

    def open_into(self, frame: bytes | memoryview, room: memoryview, *, last: bool) -> None:
        """``room`` has ``TAG`` bytes fewer than the frame. Raises BadFrame, and ``room`` has nothing then."""
        nonce, about = self._place(last=last)
        try:
            self._cipher.decrypt_into(nonce, frame, about, room)
        except InvalidTag:
            room[:] = bytes(len(room))
            raise BadFrame("a frame is not what was sealed") from None
