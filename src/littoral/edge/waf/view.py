"""What a web ACL sees of one request: its parts, taken apart only when a rule asks, and what evaluation leaves behind.

Owns: the parts of a request as bytes, and the labels, headers and matches that rules add. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from littoral.edge.waf.work import LONG, MOST, Exhausted
from littoral.net.message import Request

RawHeaders = Sequence[tuple[bytes, bytes]]
Pair = tuple[bytes, bytes]
Head = tuple[str, str, str, str, str, tuple[Pair, ...]]
UNSET: Any = object()


class View:
    """One request while it is judged. ``slots`` is the number of the ACL's sources, each of which keeps its result."""

    __slots__ = (
        "_arguments",
        "_cookies",
        "_headers",
        "_odd",
        "body",
        "country",
        "head",
        "inserted",
        "ip",
        "labels",
        "left",
        "matched",
        "now",
        "path",
        "query",
        "raw",
        "request",
        "slots",
        "token",
        "truncated",
    )

    def __init__(self, request: Request, now: float, slots: int, body: bytes = b"", truncated: bool = False) -> None:
        self.request = request
        self.raw = request.headers.raw
        peer = request.peer
        self.ip = peer.host
        # All that there is of a bodyless request but its target; it is the same again and again.
        self.head: Head = peer.host, request.method, request.http_version, peer.ja3, peer.ja4, tuple(self.raw)
        self.body = body  # no more than is inspected
        self.truncated = truncated  # there is more body than that
        self.now = now
        self.left = MOST  # of the work that it may cost
        self.slots: list[Any] = [None] * slots
        self.path, _, self.query = request.target.encode("latin-1", "backslashreplace").partition(b"?")
        self.labels: list[str] = []
        self.inserted: list[tuple[str, str]] = []
        self.matched: list[Any] = []  # rules that matched and went on, for samples and logs
        self.country = ""  # of the client, once a rule has asked
        self.token: Any = UNSET  # what the request's token says, once a rule has asked
        self._headers: dict[bytes, bytes] | None = None
        self._arguments: list[Pair] | None = None
        self._cookies: list[Pair] | None = None
        self._odd: list[bytes] | None = None

    def is_long(self) -> bool:
        """Whether the head is so long that to look at it may take long."""
        target = len(self.request.target)
        return target >= LONG or target + sum([len(name) + len(value) for name, value in self.raw]) >= LONG

    def spend(self, units: int) -> None:
        """Raises Exhausted where the request has cost as much as one may, and from then on each time."""
        self.left -= units
        if self.left < 0:
            raise Exhausted

    def header(self, name: bytes) -> bytes | None:
        """The value; several of one name are joined by commas (RFC 9110 s. 5.3)."""
        known = self._headers
        if known is None:
            known = self._headers = dict(self.raw)
            if len(known) != len(self.raw):
                known.clear()
                for key, value in self.raw:
                    known[key] = known[key] + (b"; " if key == b"cookie" else b",") + value if key in known else value
        return known.get(name)

    @property
    def arguments(self) -> list[Pair]:
        """Names and values of the query, as they stand there."""
        if self._arguments is None:
            self._arguments = pairs_of(self.query)
        return self._arguments

    @property
    def odd_arguments(self) -> list[bytes]:
        """The values of the query that are more than letters and digits."""
        if self._odd is None:
            self._odd = [value for _, value in self.arguments if value and not value.isalnum()]
        return self._odd

    @property
    def cookies(self) -> list[Pair]:
        if self._cookies is None:
            self._cookies = cookies_of(self.header(b"cookie") or b"")
        return self._cookies


def pairs_of(query: bytes) -> list[Pair]:
    if not query:
        return []
    return [(name, value) for name, _, value in (part.partition(b"=") for part in query.split(b"&") if part)]


def cookies_of(text: bytes) -> list[Pair]:
    if not text:
        return []
    found = (part.strip() for part in text.split(b";"))
    return [(name.strip(), value.strip()) for name, _, value in (part.partition(b"=") for part in found if part)]
