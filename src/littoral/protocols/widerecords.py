"""Records wider than TLS's, in which a Littoral client and a Littoral place may go on after their TLS handshake. Pure.

Owns: the keys, what a record looks like, and what is refused. ``net.wide`` reads and writes them;
docs/decisions/2026-11-29-wide-records.md says why they are there and what they promise.

    type, 1 byte | length of what follows, 3 bytes | AES-256-GCM: content (256 KiB at most) and tag

The first four bytes are authenticated with the content, and the nonce is the direction's IV xor the record's number, as
in TLS 1.3 (RFC 8446 5.3): a record that is changed, left out, repeated, put elsewhere, or of the other direction does
not open. The last record of a direction is an ``END``: what ends without was cut.

A key seals 2^20 records, of 2^14 blocks each: 2^34 blocks, which is less than the 2^24.5 records of 2^10 blocks that
RFC 8446 5.5 allows for AES-GCM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ALPN: Final = "littoral-wide/1"
CONTRIBUTION: Final = 32  # bytes of chance from each side, inside TLS
RECORD: Final = 256 * 1024  # bytes of content in a record at most
NARROW: Final = 16 * 1024  # in one for somebody whose link may be slow: nothing of a record is read before it is whole
HEAD, TAG = 4, 16
AROUND: Final = HEAD + TAG
MOST: Final = 2**20  # records that one key seals, without the END
DATA, END = 1, 2
_KEY, _IV = 32, 12


class BadRecord(Exception):
    """What came is not what the other side sent: the connection is not to be used any more."""


class Worn(Exception):
    """The key has sealed as much as it may: go on by another connection."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Of one direction."""

    key: bytes
    iv: bytes


def secrets(client: bytes, server: bytes) -> tuple[Secret, Secret]:
    """Of what the client sends and of what the server sends, from what each contributed."""
    made = HKDF(SHA256(), 2 * (_KEY + _IV), salt=None, info=ALPN.encode()).derive(client + server)
    half = _KEY + _IV
    first, second = (Secret(each[:_KEY], each[_KEY:]) for each in (made[:half], made[half:]))
    return first, second


def sealed_size(size: int, width: int = RECORD) -> int:
    """Of that many bytes of content."""
    return size + AROUND * -(-size // width)


class _Direction:
    def __init__(self, secret: Secret) -> None:
        self._cipher = AESGCM(secret.key)
        self._iv = int.from_bytes(secret.iv)
        self._number = 0

    def _nonce(self) -> bytes:
        number = self._number
        self._number += 1
        return (self._iv ^ number).to_bytes(_IV)

    @property
    def left(self) -> int:
        """Records that the key still has."""
        return MOST - self._number

    @property
    def worn(self) -> bool:
        """Half of them are used: a good moment to go on by another connection."""
        return self._number >= MOST // 2


class Sealer(_Direction):
    """Records out, in order, each of ``width`` bytes of content where there are so many."""

    def __init__(self, secret: Secret, width: int = NARROW) -> None:
        super().__init__(secret)
        self.width = width

    def seal_into(self, data: memoryview, room: memoryview) -> tuple[int, int]:
        """As much of ``data`` as there is room for: how many bytes of it, and how many of the room. Raises Worn."""
        taken = made = 0
        while taken < len(data) and (size := min(len(data) - taken, self.width, len(room) - made - AROUND)) > 0:
            if not self.left:
                raise Worn
            head = _head(DATA, size)
            room[made : made + HEAD] = head
            end = made + AROUND + size
            self._cipher.encrypt_into(self._nonce(), data[taken : taken + size], head, room[made + HEAD : end])
            taken, made = taken + size, end
        return taken, made

    def end(self) -> bytes:
        """Nothing follows it."""
        head = _head(END, 0)
        return head + self._cipher.encrypt(self._nonce(), b"", head)


def _head(kind: int, size: int) -> bytes:
    return (kind << 24 | size + TAG).to_bytes(HEAD)


class Opener(_Direction):
    """Records in, in order. After BadRecord nothing is to be opened any more."""

    ended = False

    def length(self, begun: memoryview) -> int:
        """Of the whole record that begins so; 0 while that is not known. Raises BadRecord."""
        if len(begun) < HEAD:
            if self.ended and begun:
                raise BadRecord("something follows the end")
            return 0
        kind, length = begun[0], int.from_bytes(begun[1:HEAD])
        if self.ended:
            raise BadRecord("something follows the end")
        if not ((kind == DATA and TAG < length <= RECORD + TAG and self.left) or (kind == END and length == TAG)):
            raise BadRecord(f"no record begins with {begun[:HEAD].hex()}")
        return HEAD + length

    def open_into(self, record: memoryview, room: memoryview) -> int:
        """A whole one; how many bytes of content lie in ``room`` then. Raises BadRecord, and ``room`` has nothing."""
        content = room[: len(record) - AROUND]
        try:
            self._cipher.decrypt_into(self._nonce(), record[HEAD:], record[:HEAD], content)
        except InvalidTag:
            content[:] = bytes(len(content))
            raise BadRecord("a record is not as it was sent") from None
        self.ended = record[0] == END
        return len(content)


_NOTHING = memoryview(b"")


class Incoming:
    """What comes of one direction, in whatever pieces, and where its content goes: right into the reader's room.

    While a record is not whole it waits in memory of its own, and so does what of a whole one did not fit into the
    room: one record at most of either.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._begun = _NOTHING  # as long as the record, where that is known, else as a head
        self._here = 0  # bytes of it
        self._rest = _NOTHING

    @property
    def ended(self) -> bool:
        """The other side has said so, and all that it sent before is delivered."""
        return self._opener.ended and not self._rest

    @property
    def kept(self) -> int:
        """Bytes of content that no reading is needed for."""
        return len(self._rest)

    def take(self, room: memoryview) -> int:
        """Of what is kept; how many bytes lie in ``room`` then."""
        size = min(len(room), len(self._rest))
        room[:size] = self._rest[:size]
        self._rest = self._rest[size:] if size < len(self._rest) else _NOTHING
        return size

    def buffers(self, room: memoryview, memory: memoryview) -> Sequence[memoryview]:
        """Where the next bytes are to be received, one after the other, while nothing is kept. There is room for what
        is in them, but perhaps of the last record."""
        if not self._here:
            return (memory[: sealed_size(len(room))],)
        missing = self._begun[self._here :]
        more = len(room) - (len(self._begun) - AROUND)
        if len(self._begun) == HEAD or more <= 0:
            return (missing,)
        return missing, memory[: sealed_size(more)]

    def received(self, count: int, room: memoryview, memory: memoryview) -> int:
        """So many bytes were put into the buffers; how many bytes of content lie in ``room`` now, none of them where no
        record is whole. Raises BadRecord."""
        made = 0
        if self._here:
            own = min(count, len(self._begun) - self._here)
            self._here += own
            count -= own
            if self._here == len(self._begun) == HEAD:
                self._begin(self._begun)
            if self._here < len(self._begun):
                return 0
            made = self._open(self._begun, room)
            self._here, self._begun = 0, _NOTHING
        at = 0
        while (length := self._opener.length(memory[at:count])) and at + length <= count:
            made += self._open(memory[at : at + length], room[made:])
            at += length
        if at < count:
            self._begin(memory[at:count])
        return made

    def _begin(self, begun: memoryview) -> None:
        self._here = len(begun)
        self._begun = memoryview(bytearray(self._opener.length(begun) or HEAD))
        self._begun[: self._here] = begun

    def _open(self, record: memoryview, room: memoryview) -> int:
        size = len(record) - AROUND
        if size <= len(room):
            return self._opener.open_into(record, room)
        rest = memoryview(bytearray(size))
        self._opener.open_into(record, rest)
        self._rest = rest
        return self.take(room)
