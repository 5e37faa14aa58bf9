"""Records wider than TLS's, in which a Littoral client and a Littoral place may go on after their TLS handshake. Pure.

Owns: the keys, what a record looks like, and what is refused. ``net.wide`` reads and writes them;
docs/decisions/2026-11-29-wide-records.md says why they are there and what they promise.

    type, 1 byte | length of what follows, 3 bytes | AES-256-GCM: content (256 KiB at most) and tag

The first four bytes are authenticated with the content, and the nonce is the direction's IV xor the record's number, as
in TLS 1.3 (RFC 8446 5.3): a record that is changed, left out, repeated, put elsewhere, or of the other direction does
not open. The last record of a direction is an ``END``: what ends without was cut.

A large body may come in the frames in which a disk of the place keeps it (``frames``), so that they are sealed once::

    BODY: the body's size, 8 bytes | DATA: the request's head | frames, as many as that size has | DATA …

Key and name of those frames are made of the direction's secret and of the body's number in it. The frames themselves
are no records: they are authenticated by their own tags, their number and the size that the ``BODY`` has stated.

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
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from littoral.protocols import frames
from littoral.protocols.frames import FRAME, NAME_BYTES, SEALED, BadFrame, Frames

ALPN: Final = "littoral-wide/2"
CONTRIBUTION: Final = 32  # bytes of chance from each side, inside TLS
RECORD: Final = 256 * 1024  # bytes of content in a record at most
NARROW: Final = 16 * 1024  # in one for somebody whose link may be slow: nothing of a record is read before it is whole
HEAD, TAG = 4, 16
AROUND: Final = HEAD + TAG
MOST: Final = 2**20  # records that one key seals, without the END
DATA, END, BODY = 1, 2, 3
_KEY, _IV, _BODIES, _SIZE = 32, 12, 32, 8


class BadRecord(Exception):
    """What came is not what the other side sent: the connection is not to be used any more."""


class Worn(Exception):
    """The key has sealed as much as it may: go on by another connection."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Of one direction. It never reaches a log."""

    key: bytes
    iv: bytes
    bodies: bytes  # what the keys of bodies in frames are made of


def secrets(client: bytes, server: bytes) -> tuple[Secret, Secret]:
    """Of what the client sends and of what the server sends, from what each contributed."""
    half = _KEY + _IV + _BODIES
    made = HKDF(SHA256(), 2 * half, salt=None, info=ALPN.encode()).derive(client + server)
    first, second = (
        Secret(each[:_KEY], each[_KEY : _KEY + _IV], each[_KEY + _IV :]) for each in (made[:half], made[half:])
    )
    return first, second


def sealed_size(size: int, width: int = RECORD) -> int:
    """Of that many bytes of content."""
    return size + AROUND * -(-size // width)


class FramedBody:
    """A body of ``size`` bytes in frames, from either side: how far it has come."""

    def __init__(self, secret: bytes, number: int, size: int) -> None:
        made = HKDFExpand(SHA256(), _KEY + NAME_BYTES, f"{ALPN} body {number}".encode()).derive(secret)
        self.key, self.name = made[:_KEY], made[_KEY:].hex()
        self.size = size
        self.frames = Frames(self.key, self.name)
        self.done = 0  # bytes of content in the frames that were sealed or opened
        self.sealed = frames.sealed_size(size)  # bytes of it that nobody has been given

    @property
    def next(self) -> int:
        """Bytes of the next frame, sealed; 0 where there is none."""
        return min(SEALED, self.unopened)

    @property
    def unopened(self) -> int:
        """Bytes of all the frames that are left, sealed."""
        return 0 if self.done == self.size else frames.sealed_size(self.size - self.done)

    def seal_into(self, content: memoryview, room: memoryview) -> int:
        """What comes next of the content: whole frames, or all that is left of it; how many bytes they have."""
        self.done += len(content)
        if self.done < self.size:
            return self.frames.seal_whole(content, room)
        rest = (len(content) - 1) % FRAME + 1
        made = self.frames.seal_whole(content[:-rest], room)
        self.frames.seal_into(content[-rest:], room[made : made + rest + TAG], last=True)
        return made + rest + TAG

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        """What comes next, of whole frames; how many bytes of content lie in ``room`` then. Raises BadRecord, and of a
        frame that is not as it was sent ``room`` has nothing."""
        try:
            made = self.frames.open_whole(sealed[: -(-len(sealed) // SEALED) * SEALED - SEALED], room)
            last = sealed[made // FRAME * SEALED :]
            size = len(last) - TAG
            self.frames.open_into(last, room[made : made + size], last=self.done + made + size == self.size)
        except BadFrame as problem:
            raise BadRecord(str(problem)) from None
        self.done += made + size
        return made + size


class _Direction:
    def __init__(self, secret: Secret) -> None:
        self._cipher = AESGCM(secret.key)
        self._iv = int.from_bytes(secret.iv)
        self._number = 0
        self._bodies = secret.bodies
        self._body_number = 0

    def _next_body(self, size: int) -> FramedBody:
        number = self._body_number
        self._body_number += 1
        return FramedBody(self._bodies, number, size)

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
        return self._sealed(END, b"")

    def body(self, head: bytes, size: int) -> tuple[bytes, FramedBody]:
        """Two records, with ``head`` in the second, which are followed by a body of that size (> 0) in frames. Raises
        Worn."""
        if self.left < 2:
            raise Worn
        return self._sealed(BODY, size.to_bytes(_SIZE)) + self._sealed(DATA, head), self._next_body(size)

    def _sealed(self, kind: int, content: bytes) -> bytes:
        head = _head(kind, len(content))
        return head + self._cipher.encrypt(self._nonce(), content, head)


def _head(kind: int, size: int) -> bytes:
    return (kind << 24 | size + TAG).to_bytes(HEAD)


class Opener(_Direction):
    """Records in, in order. After BadRecord nothing is to be opened any more."""

    ended = False
    body: FramedBody | None = None  # in whose frames what follows comes
    _announced: FramedBody | None = None  # when the next record has come

    def length(self, begun: memoryview) -> int:
        """Of the whole record that begins so; 0 while that is not known. Raises BadRecord."""
        if len(begun) < HEAD:
            if self.ended and begun:
                raise BadRecord("something follows the end")
            return 0
        kind, length = begun[0], int.from_bytes(begun[1:HEAD])
        if self.ended:
            raise BadRecord("something follows the end")
        if not (self._fits(kind, length) and (kind == DATA or self._announced is None)):
            raise BadRecord(f"no record begins with {begun[:HEAD].hex()}")
        return HEAD + length

    def _fits(self, kind: int, length: int) -> bool:
        if kind == END:
            return length == TAG
        if kind == BODY:
            return length == _SIZE + TAG and self.left > 0
        return kind == DATA and TAG < length <= RECORD + TAG and self.left > 0

    def open_into(self, record: memoryview, room: memoryview) -> int:
        """A whole one; how many bytes of content lie in ``room`` then. Raises BadRecord, and ``room`` has nothing."""
        if record[0] == BODY:
            self._announce(record)
            return 0
        content = room[: len(record) - AROUND]
        try:
            self._cipher.decrypt_into(self._nonce(), record[HEAD:], record[:HEAD], content)
        except InvalidTag:
            content[:] = bytes(len(content))
            raise BadRecord("a record is not as it was sent") from None
        self.ended = record[0] == END
        self.body, self._announced = self._announced, None
        return len(content)

    def _announce(self, record: memoryview) -> None:
        try:
            content = self._cipher.decrypt(self._nonce(), record[HEAD:], record[:HEAD])
        except InvalidTag:
            raise BadRecord("a record is not as it was sent") from None
        size = int.from_bytes(content)
        if not 0 < size <= frames.MOST:
            raise BadRecord(f"no body has {size} bytes")
        self._announced = self._next_body(size)


_NOTHING = memoryview(b"")


class Incoming:
    """What comes of one direction, in whatever pieces, and where its content goes: right into the reader's room.

    While a record is not whole it waits in memory of its own, and so does what of a whole one did not fit into the
    room: one record at most of either. What came together with the records before a body in frames waits sealed, as the
    reader may want it so (``take_sealed``); who does not has the frames opened like records.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._begun = _NOTHING  # as long as the record, where that is known, else as a head
        self._here = 0  # bytes of it
        self._rest = _NOTHING
        self._held = _NOTHING  # frames of a body, and what came behind them: where no body is, it begins with a record

    @property
    def ended(self) -> bool:
        """The other side has said so, and all that it sent before is delivered."""
        return self._opener.ended and not self._rest

    @property
    def worn(self) -> bool:
        """Half of what the other side's key may seal has come."""
        return self._opener.worn

    @property
    def ready(self) -> bool:
        """``take`` gets on, and no reading is needed for it."""
        body = self._opener.body
        return bool(self._rest) or (bool(self._held) if body is None else len(self._held) >= body.next)

    def take(self, room: memoryview) -> int:
        """What is here; how many bytes lie in ``room`` then, perhaps none. Raises BadRecord."""
        if self._rest:
            size = min(len(room), len(self._rest))
            room[:size] = self._rest[:size]
            self._rest = self._rest[size:] if size < len(self._rest) else _NOTHING
            return size
        body = self._opener.body
        return self._open_held(room) if body is None else self._open_frames(body, room)

    def buffers(self, room: memoryview, memory: memoryview) -> Sequence[memoryview]:
        """Where the next bytes are to be received, one after the other, while nothing is ready. There is room for what
        is in them, but perhaps of the last record."""
        body = self._opener.body
        if body is not None:
            wanted = min(max(1, len(room) // FRAME) * SEALED, body.sealed) - len(self._held)
            return (memory[:wanted],)
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
        body = self._opener.body
        if body is not None:
            self._held = memoryview(b"".join((self._held, memory[:count])))
            return self._open_frames(body, room)
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
        while self._opener.body is None and (length := self._opener.length(memory[at:count])) and at + length <= count:
            made += self._open(memory[at : at + length], room[made:])
            at += length
        self._keep(memory[at:count])
        return made

    def _keep(self, came: memoryview) -> None:
        """What follows all that is open, and is not whole, or a body's."""
        if self._opener.body is not None:
            self._held = memoryview(bytes(came))
        elif came:
            self._begin(came)

    def _begin(self, begun: memoryview) -> None:
        self._here = len(begun)
        self._begun = memoryview(bytearray(self._opener.length(begun) or HEAD))
        self._begun[: self._here] = begun

    def _open(self, record: memoryview, room: memoryview) -> int:
        size = len(record) - AROUND
        if size <= len(room) or record[0] == BODY:
            return self._opener.open_into(record, room)
        rest = memoryview(bytearray(size))
        self._opener.open_into(record, rest)
        self._rest = rest
        return self.take(room)

    # -------------------------------------------------------------------------------------- bodies in frames

    @property
    def body(self) -> FramedBody | None:
        """One in frames that begins here: nothing of it has been delivered."""
        body = self._opener.body
        return body if body is not None and not (body.done or self._rest) else None

    def take_sealed(self, room: memoryview) -> tuple[int, int]:
        """Of a body in frames, sealed as it is: how many bytes lie in ``room``, and how many may be received right
        behind them (``came_sealed``). Who takes such opens them in order, and puts back what is no whole frame."""
        body = self._opener.body
        if body is None:
            return 0, 0
        size = min(len(room), len(self._held), body.sealed)
        room[:size] = self._held[:size]
        self._held = self._held[size:] if size < len(self._held) else _NOTHING
        body.sealed -= size
        return size, 0 if self._held else min(len(room) - size, body.sealed)

    def came_sealed(self, count: int) -> None:
        """So many were received there."""
        assert self._opener.body is not None
        self._opener.body.sealed -= count

    def put_back(self, begun: bytes | memoryview) -> None:
        """What was taken and is no whole frame; where the body is at its end, nothing. Raises BadRecord."""
        assert self._opener.body is not None
        self._opener.body.sealed += len(begun)
        self._held = memoryview(b"".join((begun, self._held)))
        self._end_body(self._opener.body)

    def _open_frames(self, body: FramedBody, room: memoryview) -> int:
        """As many whole ones as there is room for, and the first in any case."""
        made = at = 0
        while (size := body.next) and at + size <= len(self._held) and not self._rest:
            frame, content = self._held[at : at + size], size - TAG
            if content <= len(room) - made:
                made += body.open_into(frame, room[made:])
            elif made:
                break
            else:
                rest = memoryview(bytearray(content))
                body.open_into(frame, rest)
                self._rest = rest
                made = self.take(room)
            at += size
        body.sealed -= at
        self._held = self._held[at:]
        self._end_body(body)
        return made

    def _end_body(self, body: FramedBody) -> None:
        """Where it has ended. What came behind it are records again."""
        if body.done == body.size:
            self._opener.body = None
            held, self._held = self._held, _NOTHING
            self._go_on_with(held)

    def _open_held(self, room: memoryview) -> int:
        """One record."""
        held, self._held = self._held, _NOTHING
        length = self._opener.length(held)
        made = self._open(held[:length], room)
        self._go_on_with(held[length:])
        return made

    def _go_on_with(self, held: memoryview) -> None:
        """It is whole and waits, or is begun."""
        if self._opener.body is not None or 0 < self._opener.length(held) <= len(held):
            self._held = held
        elif held:
            self._begin(held)
