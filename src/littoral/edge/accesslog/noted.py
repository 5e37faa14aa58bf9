"""What is noted of one request, and of one that is asked and answered the same again and again.

Owns: how little that is on the way of a hit, and the ``Record`` that comes of it afterwards, in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from littoral.edge.accesslog.view import IDENTIFIER, hidden
from littoral.edge.told import Told
from littoral.net.message import Request

# when it ended and when its first byte was ready, request, status, response's head, bytes of body, whether whole, Told
Note = tuple[float, float, Request, int, Any, int, bool, object]
Asked = tuple[Any, ...]
END = b"\r\n\r\n"


class Repeated:
    """The same answer to the same request (``Response.again``): only its time and its identifier are new. Made of the
    first answer, ``whole`` with the framing that is the listener's; it is in force until ``book`` is taken away or
    another answer comes."""

    __slots__ = ("before", "book", "end", "identifiers", "length", "moments", "note", "start")

    def __init__(self, book: list[Noted], request: Request, status: int, whole: bytes, told: object) -> None:
        body = whole.index(END) + len(END)
        self.start = whole.rindex(IDENTIFIER, 0, body) + len(IDENTIFIER)
        self.end = whole.index(b"\r\n", self.start)
        self.before, self.length = whole[: self.start], len(whole)
        self.moments: list[float] = []
        self.identifiers: list[bytes] = []
        head = whole[: self.end + 2]
        self.note: Note = (0.0, 0.0, request, status, head, len(whole) - body, True, told)
        self.book = book
        book.append(self)

    def notes(self) -> Iterator[Note]:
        """One for each; an answer that is there at once began when it ended."""
        _, _, request, status, _, size, whole, told = self.note
        for moment, identifier in zip(self.moments, self.identifiers, strict=True):
            yield (moment, moment, request, status, b"%b%b\r\n" % (self.before, identifier), size, whole, told)

    def stored(self, asked: Asked) -> tuple[Any, ...]:
        """The values of ``Repeats``."""
        ended, first, request, status, head, size, whole, told = self.note
        same = ended, first, request, status, hidden(head, self.start, self.end), size, whole, told
        return tuple(self.moments), b"".join(self.identifiers), record_of(same, asked)


Noted = Note | Repeated


def each_of(noted: Iterable[Noted]) -> Iterator[Note]:
    for one in noted:
        if isinstance(one, Repeated):
            yield from one.notes()
        else:
            yield one


def name_of(note: Note) -> str:
    """By which its distribution is found."""
    told = note[7]
    if isinstance(told, Told) and told.served:
        return told.served
    for name, value in note[2].headers.raw:
        if name == b"host":
            return value.decode("latin-1")
    return ""


def asked_of(request: Request) -> Asked:
    """What a ``Record`` says of the request itself."""
    peer, version = request.peer, request.peer.http_version or request.http_version
    viewer = peer.host, peer.port, peer.handshake, version
    return (*viewer, request.method, request.target, request.headers.raw)


def record_of(note: Note, asked: Asked | None = None) -> tuple[Any, ...]:
    """The values of a ``Record``; ``asked`` where it is known already: many notes may be of one request."""
    ended, first, request, status, head, size, whole, told = note
    asked = asked or asked_of(request)
    record = (ended, first, request.received_at or first, *asked, int(status), head, size, whole)
    if isinstance(told, Told):
        return (*record, told.detail, told.first, told.last, told.origin, told.reason, told.received)
    return record
