"""Listing keys under a prefix, rolled up at a delimiter, a page at a time. Pure: rows come from ``fetch``.

Theory. The *entries* of a listing are the keys under the prefix and, for keys that hold the delimiter after the
prefix, the text up to and with that delimiter, once. Entries are in the order of their UTF-8 bytes. A page is the
first ``limit`` entries greater than the marker, so the last entry of a page is the next page's marker; a rolled-up
entry is jumped over by one seek to the least key beyond it, however many keys it stands for.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from littoral.objects.errors import invalid_argument
from littoral.store.embedded.keys import ceiling

Row = Sequence[Any]  # its first member is the key
Fetch = Callable[[str, str | bytes, int], Sequence[Row]]  # rows with start <= key < end, at most so many
FetchMany = Callable[[str, Any, str | bytes, int], Sequence[Row]]  # of the key ``start`` only those behind the id
MOST = 1000
FEW = 4  # rows
_PLAIN = re.compile(r"[\w.~/*-]*", re.ASCII).fullmatch  # what EncodingType=url leaves as it is


@dataclass(slots=True)
class Page:
    rows: list[Row] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""  # the marker of the next page
    last_id: Any = None  # the marker beside it, where a key may have many rows

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.prefixes)


def list_page(fetch: Fetch, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = MOST) -> Page:
    def behind(start: str, last: Any, end: str | bytes, most: int) -> Sequence[Row]:
        return fetch(start if last is None else _next(start), end, most)

    return list_many(behind, prefix=prefix, delimiter=delimiter, after=(after, None), limit=limit)


def list_many(
    fetch: FetchMany, *, prefix: str = "", delimiter: str = "", after: tuple[str, Any] = ("", None), limit: int = MOST
) -> Page:
    """The same for rows (key, id, …) of which one key may have many, as uploads and versions: the marker is a key and
    an id, and where the id is None all rows of that key are behind it."""
    page = Page()
    end = ceiling(prefix)
    start, last = _begin(prefix, delimiter, *after)
    most = MOST + 1
    while isinstance(start, str) and limit > 0 and not page.truncated:
        rows = fetch(start, last, end, min(limit - page.count + 1, most))
        if not rows:
            break
        start, last = _take(page, rows, prefix, delimiter, limit)
        rolled = bool(page.prefixes) and page.last == page.prefixes[-1]
        most = FEW if rolled else min(most * FEW, MOST + 1)  # behind a rolled-up entry is perhaps another
    return page


def _take(page: Page, rows: Sequence[Row], prefix: str, delimiter: str, limit: int) -> tuple[str | bytes, Any]:
    """Add rows to the page until it is full; where to go on, and behind which id."""
    if not delimiter:
        room = limit - page.count
        page.rows += rows[:room]
        page.truncated = len(rows) > room
        page.last, page.last_id = page.rows[-1][:2]
        return page.last, page.last_id
    group = page.prefixes[-1] if page.prefixes else None
    for row in rows:
        key: str = row[0]
        if group is not None and key.startswith(group):
            continue
        if page.count >= limit:
            page.truncated = True
            break
        group = _rolled(key, prefix, delimiter)
        if group is None:
            page.rows.append(row)
            page.last, page.last_id = key, row[1]
        else:
            page.prefixes.append(group)
            page.last, page.last_id = group, None
    return (page.last, page.last_id) if group is None else (ceiling(group), None)


def _rolled(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter or not key.startswith(prefix):
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def _begin(prefix: str, delimiter: str, marker: str, last: Any) -> tuple[str | bytes, Any]:
    """Where entries greater than the marker begin: a marker within a rolled-up entry skips the whole of it."""
    if not marker or marker < prefix:
        return prefix, None
    rolled = _rolled(marker, prefix, delimiter)
    if rolled is not None:
        return ceiling(rolled), None
    return (_next(marker), None) if last is None else (marker, last)


def _next(key: str) -> str:
    """The least text after ``key``; keys hold no NUL."""
    return key + "\0"


def encoded(text: str, encoding: str | None) -> str:
    """EncodingType=url, as S3 does it and botocore undoes it."""
    return quote_plus(text, safe="/*") if encoding == "url" and not _PLAIN(text) else text


def check_encoding(encoding: str | None) -> None:
    """Raises InvalidArgument."""
    if encoding not in (None, "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", encoding)


def limit_of(asked: int | None, name: str = "max-keys") -> int:
    """Raises InvalidArgument."""
    if asked is None:
        return MOST
    if not 0 <= asked < 2**31:
        raise invalid_argument(f"Argument {name} must be an integer between 0 and 2147483647", name, asked)
    return min(asked, MOST)


def part_marker(number: int | None) -> int:
    """Raises InvalidArgument."""
    if number is not None and number < 0:
        message = "Argument part-number-marker must be an integer between 0 and 2147483647"
        raise invalid_argument(message, "part-number-marker", number)
    return number or 0


def token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def marker_of(continuation: str) -> str:
    """Raises InvalidArgument."""
    try:
        if not continuation:
            raise ValueError("none is empty")
        return base64.b64decode(continuation, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as problem:
        message = "The continuation token provided is incorrect"
        raise invalid_argument(message, "continuation-token", continuation) from problem
