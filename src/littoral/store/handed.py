"""A stretch of a sealed content as it is handed to somebody else, who opens it: what that takes, as text. Pure.

Whoever has the text can open that one content, all of it, and nothing else: it goes only where the content may go.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Self

from littoral.protocols.frames import KEY_BYTES, MOST, NAME_BYTES, SEALED
from littoral.store.frames import CannotOpen, Opener, sealed_span

_NUMBER = 8  # bytes of a size, an offset, a length


@dataclass(frozen=True, slots=True)
class Handed:
    """From ``offset`` on ``length`` (> 0) bytes of a content of ``size``."""

    key: bytes
    name: str  # hex digits
    size: int
    offset: int
    length: int

    @property
    def text(self) -> str:
        numbers = b"".join(number.to_bytes(_NUMBER) for number in (self.size, self.offset, self.length))
        return base64.b64encode(self.key + bytes.fromhex(self.name) + numbers).decode()

    @classmethod
    def read(cls, text: str) -> Self:
        """What ``text`` of one is. Raises CannotOpen."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as problem:
            raise CannotOpen("this opens nothing") from problem
        if len(data) != KEY_BYTES + NAME_BYTES + 3 * _NUMBER:
            raise CannotOpen("this opens nothing")
        name, numbers = data[KEY_BYTES : KEY_BYTES + NAME_BYTES].hex(), data[KEY_BYTES + NAME_BYTES :]
        size, offset, length = (int.from_bytes(numbers[at : at + _NUMBER]) for at in range(0, 3 * _NUMBER, _NUMBER))
        if size > MOST or not 0 < length <= size - offset:
            raise CannotOpen("this opens nothing")
        return cls(data[:KEY_BYTES], name, size, offset, length)

    @property
    def sealed(self) -> int:
        """Bytes of its frames."""
        return sealed_span(self.size, self.offset, self.length)[1]

    def opener(self) -> Opener:
        return Opener(self.key, self.name, self.size, self.offset, self.length)


AT_ONCE = 16 * SEALED  # bytes of frames that are opened at once
