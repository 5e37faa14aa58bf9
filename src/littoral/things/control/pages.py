"""One page of a listing. The token is the last key of the page before, so that a page never repeats or skips what
stayed in place, whatever is added or removed meanwhile."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from littoral.things.control.errors import invalid

Item = TypeVar("Item")
DEFAULT_SIZE = 25
MAX_SIZE = 250


def after(token: str | None) -> str:
    """The key after which a page begins. Raises InvalidRequestException."""
    if not token:
        return ""
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("Invalid pagination token") from None


def size(asked: int | None, default: int = DEFAULT_SIZE, most: int = MAX_SIZE) -> int:
    if asked is None:
        return default
    if not 1 <= asked <= most:
        raise invalid(f"The page size must be from 1 to {most}")
    return asked


def page(items: Iterable[tuple[str, Item]], limit: int) -> tuple[list[Item], str | None]:
    """The first ``limit`` of items that are in key order, and the token for the rest, if any."""
    taken = list(islice(items, limit + 1))
    kept = taken[:limit]
    token = base64.b64encode(kept[-1][0].encode()).decode() if len(taken) > limit else None
    return [item for _, item in kept], token


def names(found: Iterable[str], token: str | None, limit: int) -> tuple[list[str], str | None]:
    """A page of names that are in order."""
    start = after(token)
    return page(((name, name) for name in found if name > start), limit)


def by_age(
    items: Iterable[tuple[float, str, Item]], token: str | None, ascending: bool, limit: int
) -> tuple[list[Item], str | None]:
    """A page of (creation time, name, item), oldest or newest first."""
    start = after(token)
    rows = sorted(((f"{created:017.6f}/{name}", item) for created, name, item in items), key=lambda row: row[0])
    if not ascending:
        rows.reverse()
    if start:
        rows = [row for row in rows if (row[0] > start if ascending else row[0] < start)]
    return page(rows, limit)


def with_token(output: dict[str, object], name: str, token: str | None) -> dict[str, object]:
    return {**output, name: token} if token is not None else output
