"""Listing keys under a prefix, rolled up at a delimiter, a page at a time. Pure: rows come from ``fetch``.

Theory. The *entries* of a listing are the keys under the prefix and, for keys that hold the delimiter after the
prefix, the text up to and with that delimiter, once. Entries are in the order of their UTF-8 bytes. A page is the
first ``limit`` entries greater than the marker, so the last entry of a page is the next page's marker; a rolled-up
entry is jumped over by one seek to the least key beyond it, however many keys it stands for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from littoral.objects.errors import invalid_argument
from littoral.store.embedded.keys import ceiling

Row = Sequence[Any]  # its first member is the key
Fetch = Callable[[str, str | bytes, int], Sequence[Row]]  # rows with start <= key < end, at most so many
MOST = 1000


@dataclass(slots=True)
class Page:
    rows: list[Row] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""  # the marker of the next page
    last_id: str = ""  # of uploads: the marker beside it

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.prefixes)


def list_page(fetch: Fetch, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = MOST) -> Page:
    page = Page()
    end = ceiling(prefix)
    start = _begin(prefix, delimiter, after)
    while isinstance(start, str) and limit > 0:
        rows = fetch(start, end, min(limit - page.count + 1, MOST + 1))
        if not rows:
            break
        start = _take(page, rows, prefix, delimiter, limit)
        if page.truncated:
            break
    return page


def list_uploads(
    rows: Iterable[Row], *, prefix: str, delimiter: str, after: tuple[str, str | None], limit: int
) -> Page:
    """The same for uploads, (key, id, …) in order, of which one key may have many: the marker is a key and an id,
    and where the id is None all uploads of that key are behind it."""
    page = Page()
    marker, marker_id = after
    for row in rows:
        group = _rolled(row[0], prefix, delimiter)
        if group is not None:
            if marker >= group or (page.prefixes and page.prefixes[-1] == group):
                continue
        elif (row[0], row[1]) <= (marker, marker_id or "") or (marker_id is None and row[0] <= marker):
            continue
        if page.count >= limit:
            page.truncated = limit > 0
            break
        if group is None:
            page.rows.append(row)
            page.last, page.last_id = row[0], row[1]
        else:
            page.prefixes.append(group)
            page.last, page.last_id = group, ""
    return page


def _take(page: Page, rows: Sequence[Row], prefix: str, delimiter: str, limit: int) -> str | bytes:
    """Add rows to the page until it is full; where to go on."""
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
        else:
            page.prefixes.append(group)
        page.last = group or key
    return _next(page.last) if group is None else ceiling(group)


def _rolled(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter or not key.startswith(prefix):
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def _begin(prefix: str, delimiter: str, after: str) -> str | bytes:
    """Where entries greater than the marker begin: a marker within a rolled-up entry skips the whole of it."""
    if not after or after < prefix:
        return prefix
    rolled = _rolled(after, prefix, delimiter)
    return _next(after) if rolled is None else ceiling(rolled)


def _next(key: str) -> str:
    """The least text after ``key``; keys hold no NUL."""
    return key + "\0"


def encoded(text: str, encoding: str | None) -> str:
    """EncodingType=url, as S3 does it and botocore undoes it."""
    return quote_plus(text, safe="/*") if encoding == "url" else text


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


def token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def marker_of(continuation: str) -> str:
    """Raises InvalidArgument."""
    try:
        return base64.b64decode(continuation, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as problem:
        message = "The continuation token provided is incorrect"
        raise invalid_argument(message, "continuation-token", continuation) from problem
