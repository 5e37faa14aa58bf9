"""Trodden ways: requests that, as a few comparisons say, meet no rule of their web ACL but those that count by rates.

Whoever asks again on a connection sends the same head. Then only the target is new; and where that came before, or its
path did and its query is plain, the ladder has found out what there is to know (``ladder.Known``).
"""

from __future__ import annotations

from collections.abc import Set

from littoral.edge.waf.plain import LONGEST, matches_plain
from littoral.net.message import BytesBody, Request

MOST = 2048  # connections whose last head is remembered


class Way:
    """The last head of a connection. ``passed`` are targets under it, ``free`` the paths that any plain query may
    follow."""

    __slots__ = ("_free", "_method", "_passed", "_peer", "_raw", "_version")

    def __init__(self, request: Request, passed: Set[str], free: Set[str]) -> None:
        self._raw = request.headers.raw.copy()
        self._method, self._version, self._peer = request.method, request.http_version, request.peer
        self._passed, self._free = passed, free

    def leads(self, request: Request) -> bool:
        """Whether the request goes that way. It is of the same address and port."""
        if self._raw != request.headers.raw or self._method != request.method or request.http_version != self._version:
            return False
        body, peer, target = request.body, request.peer, request.target
        if type(body) is not BytesBody or body.data:
            return False
        if peer is not self._peer and (peer.ja3 != self._peer.ja3 or peer.ja4 != self._peer.ja4):
            return False
        path, _, query = target.partition("?")
        if path in self._free and len(query) <= LONGEST and matches_plain(query):
            return True
        return target in self._passed
