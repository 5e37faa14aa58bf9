"""A JSON body as keys and values with their places, up to the first thing that is no JSON.

WAF does not validate: it inspects what it could read, and says whether it came to the end. ("JSON body" in the AWS
WAF developer guide.) Iterative, so that no nesting is too deep for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r'[ \t\r\n]*(?:(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")'
    r"|(?P<scalar>-?\d[\d.eE+-]*|true|false|null)|(?P<mark>[][{},:]))"
)
_BEGUN = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*\\?|-|[a-z]*')
MAX_DEPTH = 512


@dataclass(frozen=True, slots=True)
class Item:
    """A key or a scalar value. ``reading`` stands where it is, until the next one."""

    reading: Reading
    text: bytes
    is_key: bool

    @property
    def path(self) -> str:
        """``/order/items/0/name``; as long as the body is deep."""
        return self.reading.path()


class Broken(Exception):
    """The body stops being JSON here; what came before it is good. ``begun`` is what the last text, word or number says
    so far, where the body only ends too early; else None."""

    def __init__(self, begun: bytes | None = None) -> None:
        super().__init__()
        self.begun = begun


def items(body: bytes) -> Iterator[Item]:
    """In the order of the body. Raises Broken after the last good one."""
    text = body.decode("utf-8", "surrogateescape")
    reading, at = Reading(), 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None or reading.ended:
            if found is None and reading.ended and not text[at:].strip():
                return
            raise Broken if reading.ended else Broken(_begun(text[at:].lstrip()))
        at = found.end()
        if found.lastgroup == "mark":
            reading.mark(found["mark"])
        elif found.lastgroup == "string":
            yield reading.scalar(_string(found["string"]), is_string=True)
        else:
            yield reading.scalar(found["scalar"], is_string=False)


class Reading:
    """Where in the value the reader stands."""

    def __init__(self) -> None:
        self._stack: list[str | int] = []  # of each open container, the key or number of the place
        self._above: list[str] = [""]  # the paths of the open containers, as far as somebody asked
        self._expecting_key = False
        self.ended = False

    def mark(self, mark: str) -> None:
        stack = self._stack
        if mark in "{[":
            if len(stack) >= MAX_DEPTH:
                raise Broken
            stack.append("" if mark == "{" else 0)
            self._expecting_key = mark == "{"
        elif not stack or (mark in "}]" and isinstance(stack[-1], str) != (mark == "}")):
            raise Broken
        elif mark in "}]":
            stack.pop()
            del self._above[max(1, len(stack)) :]
            self.ended, self._expecting_key = not stack, False
        elif mark == ",":
            top = stack[-1]
            self._expecting_key = isinstance(top, str)
            if isinstance(top, int):
                stack[-1] = top + 1

    def scalar(self, text: str, *, is_string: bool) -> Item:
        is_key = is_string and self._expecting_key and bool(self._stack)
        if is_key:
            self._stack[-1] = text
            self._expecting_key = False
        self.ended = not self._stack
        return Item(self, _bytes(text), is_key)

    def path(self) -> str:
        """Of the value that was read last."""
        above = self._above
        while len(above) < len(self._stack):
            above.append(above[-1] + _step(self._stack[len(above) - 1]))
        return above[-1] + _step(self._stack[-1]) if self._stack else ""


def _step(place: str | int) -> str:
    return "/" + place.replace("~", "~0").replace("/", "~1") if isinstance(place, str) else f"/{place}"


def _begun(rest: str) -> bytes | None:
    if not _BEGUN.fullmatch(rest):
        return None
    return _bytes(_string(rest + '"') if rest[:1] == '"' else rest)


def _string(token: str) -> str:
    try:
        value: str = json.loads(token)
    except ValueError:
        return token[1:-1]
    return value


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")  # bytes of the body that were no UTF-8, as they were
    except UnicodeEncodeError:
        return value.encode(
            "utf-8", "surrogatepass"
        )  # half of a pair, by an escape if max(value, default="") >= "\ud800" else value.encode()
