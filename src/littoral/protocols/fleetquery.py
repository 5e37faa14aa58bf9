"""AWS IoT's query language for fleets: text in, a yes or no per document out.

Owns: the grammar and how values compare. Refuses to know: where documents come from. A document is JSON, its fields are
named by paths: ``attributes.ward``, ``shadow.reported.rate``, ``connectivity.connected``.

::

    query  := or            or := and ("OR" and)*            and := not (["AND"] not)*
    not    := ("NOT" | "-") not | "(" or ")" | term
    term   := [field (":" | ":>" …)] value | field (">" | ">=" | "<" | "<=") value
    value  := word (with * and ?) | "phrase" | "[" low "TO" high "]" | "{" … "}" | "(" or ")"

Words beside one another are joined by AND. A word without a field is looked for in ``thingName``, ``thingTypeName``,
``thingGroupNames`` and the values of ``attributes``. Numbers compare as numbers where both sides are some, all else as
text. Source: https://docs.aws.amazon.com/iot/latest/developerguide/query-syntax.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Document = Mapping[str, Any]
Match = Callable[[Document], bool]

MAX_LENGTH: Final = 1_000
MAX_TERMS: Final = 12
MAX_DEPTH: Final = 20
DEFAULT_FIELDS: Final = ("thingName", "thingTypeName", "thingGroupNames", "attributes.*")

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<phrase>"(?:[^"\\]|\\.)*")
      | (?P<open>[(\[{]) | (?P<close>[)\]}])
      | (?P<operator>:?(?:>=|<=|>|<)|:)
      | (?P<word>(?:[^\s"()\[\]{}:<>\\]|\\.)+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_FIELD: Final = re.compile(r"[A-Za-z][\w.$\-]*", re.ASCII)


class QueryError(ValueError):
    """The text is not a query."""


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    match: Match


def parse(text: str) -> Query:
    """Raises QueryError. ``*`` alone matches everything."""
    if not text.strip():
        raise QueryError("The query is empty")
    if len(text) > MAX_LENGTH:
        raise QueryError(f"A query has at most {MAX_LENGTH} characters")
    if text.strip() == "*":
        return Query(text, lambda document: True)
    return Query(text, _Parser(text).whole())


# ------------------------------------------------------------------------------------------------- documents


def values_at(document: Document, path: str) -> Iterator[Any]:
    """The scalar values of a field; each of an array, and each member where the path ends in ``.*``."""
    yield from _values(document, path.split("."))


def _values(found: Any, names: list[str]) -> Iterator[Any]:
    if isinstance(found, list | tuple):
        for each in found:
            yield from _values(each, names)
    elif not names:
        if found is not None and not isinstance(found, Mapping):
            yield found
    elif isinstance(found, Mapping):
        if names == ["*"]:
            for each in found.values():
                yield from _values(each, [])
        elif names[0] in found:
            yield from _values(found[names[0]], names[1:])


def number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def shown(value: Any) -> str:
    """A value as the text that a query compares with."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(value: Any, bound: str) -> int | None:
    """Negative, zero or positive; None for what has no order."""
    left, right = number(value), number(bound)
    if left is not None and right is not None:
        return (left > right) - (left < right)
    if left is not None or isinstance(value, bool):
        return None
    text = shown(value)
    return (text > bound) - (text < bound)


# --------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "phrase", "open", "close", "operator", "word" or "end"
    text: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._terms = 0
        self._depth = 0

    def whole(self) -> Match:
        found = self._or(None)
        if self._next.kind != "end":
            raise QueryError(f"Unexpected {self._next.text!r}")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)  # the end stays
        return token

    def _keyword(self, word: str) -> bool:
        if self._next == _Token("word", word):
            self._at += 1
            return True
        return False

    def _or(self, field: str | None) -> Match:
        parts = [self._and(field)]
        while self._keyword("OR"):
            parts.append(self._and(field))
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _and(self, field: str | None) -> Match:
        parts = [self._not(field)]
        while self._keyword("AND") or self._next.kind in ("phrase", "open") or self._more_words():
            parts.append(self._not(field))
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _more_words(self) -> bool:
        return self._next.kind == "word" and self._next.text != "OR"

    def _not(self, field: str | None) -> Match:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"A query is nested at most {MAX_DEPTH} levels deep")
        try:
            if self._keyword("NOT") or self._dash():
                inner = self._not(field)
                return lambda document: not inner(document)
            if self._next == _Token("open", "("):
                return self._group(field)
            return self._term(field)
        finally:
            self._depth -= 1

    def _dash(self) -> bool:
        """A minus in front of a term; the rest of its word is looked at again."""
        token = self._next
        if token.kind != "word" or not token.text.startswith("-") or number(token.text) is not None:
            return False
        rest = token.text[1:]
        if rest:
            self._tokens[self._at] = _Token("word", rest)
        else:
            self._at += 1
        return True

    def _group(self, field: str | None) -> Match:
        self._take()
        found = self._or(field)
        if self._take() != _Token("close", ")"):
            raise QueryError("A parenthesis is not closed")
        return found

    def _term(self, field: str | None) -> Match:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise QueryError(f"A query has at most {MAX_TERMS} terms")
        first = self._next
        following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if field is None and first.kind == "word" and following.kind == "operator":
            name, operator = self._take().text, self._take().text.lstrip(":")
            if not _FIELD.fullmatch(name):
                raise QueryError(f"{name!r} is not the name of a field")
            return self._of_field(name, operator)
        return self._value(field)

    def _of_field(self, name: str, operator: str) -> Match:
        if operator:
            token = self._take()
            if token.kind not in ("word", "phrase"):
                raise QueryError(f"{name}{operator} needs a value")
            bound = _plain(token)
            return lambda document: any(
                (order := _order(value, bound)) is not None and _COMPARE[operator](order)
                for value in values_at(document, name)
            )
        if self._next == _Token("open", "("):
            return self._group(name)
        return self._value(name)

    def _value(self, field: str | None) -> Match:
        token = self._take()
        fields = DEFAULT_FIELDS if field is None else (field,)
        if token.kind == "open" and token.text in "[{":
            holds = self._range(token)
        elif token.kind in ("word", "phrase"):
            holds = _equal(token)
        else:
            raise QueryError(f"A value is expected, not {token.text!r}" if token.text else "A value is missing")
        return lambda document: any(holds(value) for name in fields for value in values_at(document, name))

    def _range(self, opening: _Token) -> Callable[[Any], bool]:
        low, to, high, closing = self._take(), self._take(), self._take(), self._take()
        if to != _Token("word", "TO") or closing.kind != "close" or closing.text not in "]}":
            raise QueryError("A range is [low TO high], with { and } for bounds that do not belong to it")
        if low.kind not in ("word", "phrase") or high.kind not in ("word", "phrase"):
            raise QueryError("A range needs two values")
        below, above = _plain(low), _plain(high)

        def holds(value: Any) -> bool:
            down = 1 if below == "*" else _order(value, below)
            up = -1 if above == "*" else _order(value, above)
            if down is None or up is None:
                return False
            return (down > 0 or (down == 0 and opening.text == "[")) and (up < 0 or (up == 0 and closing.text == "]"))

        return holds


_COMPARE: Final[Mapping[str, Callable[[int], bool]]] = {
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
}


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"The query cannot be read at {text[position : position + 20]!r}")
        position = match.end()
        kind = match.lastgroup or ""
        yield _Token(kind, match[kind])
    yield _Token("end", "")


def _plain(token: _Token) -> str:
    text = token.text[1:-1] if token.kind == "phrase" else token.text
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _equal(token: _Token) -> Callable[[Any], bool]:
    """A phrase is what it says; in a word * stands for any characters, ? for one."""
    wanted = _plain(token)
    if token.kind == "word" and re.search(r"(?<!\\)[*?]", token.text):
        pattern = _pattern(token.text)
        return lambda value: pattern.fullmatch(shown(value)) is not None
    as_number = number(wanted)

    def holds(value: Any) -> bool:
        if as_number is not None and isinstance(value, int | float) and not isinstance(value, bool):
            return value == as_number
        return shown(value) == wanted

    return holds


def _pattern(word: str) -> re.Pattern[str]:
    """Each part behind a star is matched at its first place and not again (atomically), so that the time is linear."""
    parts: list[str] = [""]
    for match in re.finditer(r"\\(.)|([*?])|(.)", word, re.DOTALL):
        escaped, wild, plain = match.groups()
        if wild == "*":
            parts.append("")
        else:
            parts[-1] += "(?s:.)" if wild == "?" else re.escape(escaped or plain)
    if len(parts) == 1:
        return re.compile(parts[0])
    inner = "".join(f"(?>(?s:.*?){part})" for part in parts[1:-1])
    return re.compile(f"{parts[0]}{inner}(?s:.*){parts[-1]}")
