"""CloudWatch Logs' filter patterns: text in, a predicate over a log event's message out.

Owns: the language of ``FilterLogEvents``' ``filterPattern``, in its three forms:

* **terms**: ``ERROR "exact phrase" -DEBUG`` (all of them, none of those with a minus) or ``?ERROR ?WARN`` (any);
* **JSON**: ``{ ($.level = "err*" && $.took > 1.5) || $.user IS NULL || $.id NOT EXISTS }``;
* **fields**: ``[ip, user, ..., status = 4* && status != 404, bytes > 1000]``, by white space, ``"…"`` and ``[…]``.

Terms are parts of the message, upper and lower case differ, ``*`` stands for any characters in a compared value. A
comparison with what the message does not have holds never, ``!=`` included. What is refused with ``PatternError``:
regular expressions (``%…%``), and ``?terms`` beside other terms, of which AWS ignores a part without saying so.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Predicate = Callable[[str], bool]
Condition = Callable[[Any], bool]  # over a JSON document, or over the fields of a line by name

DEEPEST = 32  # parentheses within parentheses
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_TERM = re.compile(r'\s*(?P<mark>[?-]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>\w+))(?=\s|$)')
_STEP = re.compile(r"""\.(?P<name>[\w@-]+|\*)|\[(?P<index>\d{1,9}|\*)\]|\.?\[["'](?P<quoted>[^"']+)["']\]""")
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>&&|\|\||[(),]|\.\.\.|!=|>=|<=|[=<>])
        |(?P<path>\$(?:\.(?:[\w@-]+|\*)|\[(?:\d{1,9}|\*)\]|\.?\[["'][^"']+["']\])+)
        |"(?P<text>(?:[^"\\]|\\.)*)"
        |(?P<word>[\w.*:/@#+-]+))""",
    re.VERBOSE,
)
_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|\[([^\]]*)\]|(\S+)')


class PatternError(ValueError):
    """It is no filter pattern, or one that is not served; the message says where or what."""


def compile_pattern(pattern: str) -> Predicate:
    """What decides whether an event's message matches. Raises PatternError."""
    text = pattern.strip()
    if text.startswith("%"):
        raise PatternError("regular expressions in filter patterns are not implemented here")
    if text.startswith("{"):
        return _json(text)
    if text.startswith("["):
        return _fields(text)
    return _terms(text)


# ------------------------------------------------------------------------------------------------ terms


def _terms(text: str) -> Predicate:
    every: list[str] = []
    some: list[str] = []
    none: list[str] = []
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise PatternError(f"Invalid character(s) in term '{text[position:].strip()[:50]}'")
        term = found["word"] if found["word"] is not None else _unquoted(found["phrase"])
        {"": every, "?": some, "-": none}[found["mark"]].append(term)
        position = found.end()
    if some and (every or none):
        raise PatternError("terms with a question mark can not be combined with other terms")
    if some:
        return lambda message: any(term in message for term in some)
    return lambda message: all(term in message for term in every) and not any(term in message for term in none)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


# ------------------------------------------------------------------------------------------------ JSON


def _json(text: str) -> Predicate:
    if not text.endswith("}"):
        raise PatternError("a JSON filter pattern ends with }")
    words = _Words(text[1:-1])
    condition = _Parser(words, _selector).whole()

    def matches(message: str) -> bool:
        if "{" not in message:
            return False
        try:
            document = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return isinstance(document, dict) and condition(document)

    return matches


def _selector(kind: str, word: str) -> Callable[[Any], Iterator[Any]]:
    """``$.a[0].b`` as a function from a document to the values there: none, one, or with ``*`` several."""
    if kind != "path":
        raise PatternError(f"a selector such as $.name is wanted, not '{word[:50]}'")
    steps: list[str | int | None] = []
    for step in _STEP.finditer(word, 1):
        if step["index"] is not None:
            steps.append(None if step["index"] == "*" else int(step["index"]))
        else:
            name = step["name"] or step["quoted"]
            steps.append(None if step["name"] == "*" else name)

    def values(document: Any) -> Iterator[Any]:
        found = [document]
        for step in steps:
            found = [inner for value in found for inner in _inner(value, step)]
        return iter(found)

    return values


def _inner(value: Any, step: str | int | None) -> list[Any]:
    if isinstance(value, dict):
        if step is None:
            return list(value.values())
        return [value[step]] if step in value else []
    if isinstance(value, list) and not isinstance(step, str):
        return value if step is None else value[step : step + 1]
    return []


# ------------------------------------------------------------------------------------------------ fields


def _fields(text: str) -> Predicate:
    """``[a, b = x, ..., c]``: every field of the line has a place, of which ``...`` takes any number."""
    if not text.endswith("]"):
        raise PatternError("a filter pattern of fields ends with ]")
    words = _Words(text[1:-1])
    names: list[str | None] = []  # None is the ellipsis
    conditions: list[Condition] = []
    while True:
        kind, word = words.peek()
        if (kind, word) == ("mark", "..."):
            words.next()
            names.append(None)
        elif kind == "word":
            if words.is_alone():
                words.next()
            else:
                conditions.append(_Parser(words, _field_named(word)).alternatives())
            names.append(word)
        else:
            raise PatternError(f"the name of a field is wanted at '{word[:50]}'")
        if words.peek() == ("", ""):
            break
        words.expect(",")
    if names.count(None) > 1:
        raise PatternError("there can be one ... in a filter pattern of fields")

    def matches(message: str) -> bool:
        fields = _named(message, names)
        return fields is not None and all(condition(fields) for condition in conditions)

    return matches


def _field_named(name: str) -> Callable[[str, str], Callable[[Any], Iterator[Any]]]:
    def read(kind: str, word: str) -> Callable[[Any], Iterator[Any]]:
        if word != name or kind != "word":
            raise PatternError(f"a condition of the field {name[:50]} is wanted, not of '{word[:50]}'")
        return lambda fields: iter([fields[name]])

    return read


def _named(message: str, names: list[str | None]) -> dict[str, str] | None:
    """The line's fields by the pattern's names; None where they are not as many."""
    found = [next(group for group in match.groups() if group is not None) for match in _FIELD.finditer(message)]
    if None in names:
        gap = names.index(None)
        after = len(names) - gap - 1
        if len(found) < gap + after:
            return None
        found = found[:gap] + found[len(found) - after :]
    elif len(found) != len(names):
        return None
    return dict(zip([name for name in names if name is not None], found, strict=True))


# ------------------------------------------------------------------------------------------------ conditions


class _Words:
    """The tokens of a pattern's inside, one ahead."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                rest = text[position:].strip()[:50]
                if rest.startswith("%"):
                    raise PatternError("regular expressions in filter patterns are not implemented here")
                raise PatternError(f"Invalid filter pattern at '{rest}'")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def next(self) -> tuple[str, str]:
        found = self.peek()
        self._at += 1
        return found

    def is_alone(self) -> bool:
        """Whether a comma or the end follows the next word."""
        following = self._tokens[self._at + 1 : self._at + 2]
        return not following or following[0] == ("mark", ",")

    def take(self, mark: str) -> bool:
        if self.peek() == ("mark", mark):
            self._at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            raise PatternError(f"'{mark}' is wanted at '{self.peek()[1][:50]}'")


class _Parser:
    """``||`` over ``&&`` over comparisons and parentheses. ``selector`` reads the left side of a comparison."""

    def __init__(self, words: _Words, selector: Callable[[str, str], Callable[[Any], Iterator[Any]]]) -> None:
        self._words = words
        self._selector = selector
        self._depth = 0

    def whole(self) -> Condition:
        condition = self.alternatives()
        kind, word = self._words.peek()
        if kind:
            raise PatternError(f"Invalid filter pattern at '{word[:50]}'")
        return condition

    def alternatives(self) -> Condition:
        parts = [self._together()]
        while self._words.take("||"):
            parts.append(self._together())
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _together(self) -> Condition:
        parts = [self._one()]
        while self._words.take("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _one(self) -> Condition:
        if self._words.take("("):
            self._depth += 1
            if self._depth > DEEPEST:
                raise PatternError(f"more than {DEEPEST} parentheses within one another")
            inner = self.alternatives()
            self._words.expect(")")
            self._depth -= 1
            return inner
        values = self._selector(*self._words.next())
        kind, word = self._words.next()
        if kind == "word":
            return self._state(values, word.upper())
        if kind == "mark" and word in ("=", "!=", *_COMPARE):
            holds = _comparison(word, *self._words.next())
            return lambda document: any(holds(value) for value in values(document))
        raise PatternError(f"a comparison is wanted, not '{word[:50]}'")

    def _state(self, values: Callable[[Any], Iterator[Any]], word: str) -> Condition:
        """EXISTS, NOT EXISTS, IS TRUE, IS FALSE, IS NULL, IS NOT NULL."""
        if word == "EXISTS":
            return lambda document: any(True for _ in values(document))
        second = self._words.next()[1].upper()
        if (word, second) == ("NOT", "EXISTS"):
            return lambda document: not any(True for _ in values(document))
        negated = (word, second) == ("IS", "NOT")
        if negated:
            second = self._words.next()[1].upper()
        wanted = {"TRUE": True, "FALSE": False, "NULL": None}
        if word != "IS" or second not in wanted:
            raise PatternError(f"IS TRUE, IS FALSE, IS NULL, EXISTS or NOT EXISTS is wanted, not '{word} {second}'")
        value = wanted[second]
        return lambda document: any((found is value) is not negated for found in values(document))


def _comparison(mark: str, kind: str, word: str) -> Condition:
    """What one value is compared with, by the kind of the word on the right."""
    if kind not in ("text", "word"):
        raise PatternError(f"a value is wanted after {mark}")
    number = float(word) if kind == "word" and _NUMBER.fullmatch(word) else None
    if mark in _COMPARE:
        if number is None:
            raise PatternError(f"{mark} compares with a number, not with '{word[:50]}'")
        compare = _COMPARE[mark]
        return lambda value: (found := _number(value)) is not None and compare(found, number)
    text = _unquoted(word) if kind == "text" else word
    parts = text.split("*")

    def equal(value: Any) -> bool:
        if number is not None and (found := _number(value)) is not None:
            return found == number
        if isinstance(value, str):
            shown = value
        elif kind == "word" and isinstance(value, (int, float)):
            shown = json.dumps(value)
        else:
            return False
        return _is_like(shown, parts)

    return equal if mark == "=" else lambda value: value is not None and not equal(value)


def _is_like(text: str, parts: list[str]) -> bool:
    """Whether it is the parts with anything between them. Linear, where a regular expression could be tortured."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _number(value: Any) -> float | None:
    """A JSON number, or a field that reads as one; truth values are none."""
    if isinstance(value, str):
        return float(value) if len(value) < 400 and _NUMBER.fullmatch(value) else None
    try:
        return None if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)
    except OverflowError:
        return None
