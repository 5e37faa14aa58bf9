"""What a plain query cannot match: most queries are short names and values of letters and digits.

A pattern that wants a space, a bracket or a slash matches none of them, so they need not be looked at. ``possible``
errs to one side only: a pattern of which it is not sure is asked.
"""

from __future__ import annotations

import re

LONGEST = 512  # bytes of a plain query
_OF_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789=&")
# One piece of an expression in RE2's syntax: what stands for a byte, a class, an escape, or a byte with a meaning.
_PIECE = re.compile(
    rb"\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<quoted>[^A-Za-z0-9])|\\[AzbBdDsSwW]"
    rb"|\[\^?+\]?+(?:[^\[\]\\]|\\.)*+\]|\((?:\?:)?|[)|.^$]|(?P<byte>[^\\\[\](){}*+?|.^$])"
)
_REPEATED = re.compile(rb"[*?]|\{[0-9]+(?:,[0-9]*)?\}|\+\??|")
_PLAIN = r"[A-Za-z0-9&]*+(?:=[A-Za-z0-9]*+(?:&[A-Za-z0-9&]*+|\Z))*+\Z"
_QUERY = re.compile(_PLAIN.encode()).match
matches_plain = re.compile(_PLAIN).match  # the same of a query as it stands in a request's target, whatever its length


def is_plain(query: bytes) -> bool:
    """Names and values of letters and digits, and not long."""
    return len(query) <= LONGEST and _QUERY(query) is not None


def possible(pattern: bytes) -> bool:
    """Whether the expression may be found in a plain query: True unless each match holds a byte that those lack.

    Such a byte must stand by itself, outside of all groups, in a pattern without alternatives at that level.
    """
    place = depth = 0
    foreign = False
    while place < len(pattern):
        piece = _PIECE.match(pattern, place)
        if piece is None:
            return True
        place = piece.end()
        text = piece[0]
        repeated = _REPEATED.match(pattern, place) if text != b"|" and not text.startswith(b"(") else None
        if repeated is not None:
            place = repeated.end()
        depth += text.startswith(b"(") - (text == b")")
        if text == b"|" and depth == 0:
            return True
        byte = bytes.fromhex(piece["hex"].decode()) if piece["hex"] else piece["quoted"] or piece["byte"]
        mandatory = repeated is None or repeated[0][:1] in {b"", b"+"}
        foreign = foreign or (depth == 0 and mandatory and bool(byte) and byte[0] not in _OF_PLAIN)
    return not foreign
