"""The head a connection was asked with last, so that the same bytes again need not be parsed again.

Owns: knowing when a read is, byte for byte, one plain request of which only the target may differ from the one
before. A client on a kept connection sends the same header block with every request; whatever the parser and the
checks found out about it the first time is true the second time. Knows no socket and gives out no mutable state.

It is never a second parser: it compares bytes with what llhttp and ``check_request_head`` have accepted, and the only
new bytes it lets through are a target of characters that need no judgement, after the same method. All else goes the
long way. Measured: 5.3 µs of Python for a small request became 2.6 (docs/decisions/2026-11-23-listener.md).
"""

from __future__ import annotations

import re

from littoral.net.message import RawHeaders
from littoral.net.passage import Again

# Bytes of a head worth keeping: an idle connection holds on to them and, as objects, to some four times as many.
LONGEST = 2048

# Heads kept in a row of which none came again; then no more are (a client that signs its requests never repeats one).
PATIENCE = 8

VERSION = b" HTTP/1.1"
# Origin form without "#" and without what is odd in a URL: a subset of what llhttp and the checks accept.
PLAIN_TARGET = re.compile(rb"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\Z").match


class LastHead:
    """``head`` is all of a read that held one whole request head and nothing else; b"" at first. ``method``,
    ``target`` and ``headers`` (not to be changed: copy them) are what it said. ``in_vain`` counts the heads kept since
    one was of use: the user of ``head`` sets it back. ``again`` is ``Response.again`` of the answer to ``head``."""

    __slots__ = ("_limit", "_room", "_start", "_tail", "again", "head", "headers", "in_vain", "method", "target")

    def __init__(self, limit: int) -> None:
        """``limit``: only heads of at most this many bytes are kept; 0 for none at all."""
        self.head = b""
        self.method = self.target = ""
        self.headers: RawHeaders = []
        self.again: Again | None = None
        self.in_vain = 0 if limit else PATIENCE
        self._limit = limit
        self._room = 0  # nought until something is kept, so that nothing fits
        self._start = b""
        self._tail = b""

    def fits(self, data: bytes) -> bool:
        """Whether ``data`` is the same head but for its target; then it is the last head from now on."""
        if len(data) > self._room:
            return False
        start, end = len(self._start), len(data) - len(self._tail)
        if (
            not data.endswith(self._tail)
            or not data.startswith(self._start)
            # Up to where the tail begins, and no byte of the target can end a line: so this is one head, and all of it.
            or not PLAIN_TARGET(data, start, end)
        ):
            return False
        self.head = data
        self.again = None
        self.target = data[start:end].decode("ascii")
        return True

    def keep(self, data: bytes, method: str, target: str, headers: RawHeaders) -> None:
        """Remember a head that was found good, has no body, lets the connection be kept and began in this read. It is
        not kept when the read held anything besides, or when it is not HTTP/1.1."""
        self.in_vain += 1
        self.again = None
        if self.in_vain >= PATIENCE:
            self.head, self.headers, self._tail, self._room = b"", [], b"", 0
            return
        start = method.encode("ascii") + b" "
        end = len(start) + len(target)
        if (
            len(data) <= self._limit
            and data.find(b"\r\n\r\n") == len(data) - 4
            and data.startswith(start)
            and data.startswith(VERSION + b"\r\n", end)
        ):
            self.head, self.method, self.target, self.headers = data, method, target, headers
            self._start, self._tail, self._room = start, data[end:], self._limit
