"""Date patterns for ``time_to_epoch``: the letters of Java's ``DateTimeFormatter`` that a time can be read by.

Owns: text to milliseconds since 1970 (java.time.format.DateTimeFormatter; English names). A letter that is not here is
refused when the rule is created. ``timeformat`` is the other direction, with Joda-Time's letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from littoral.protocols.iotsql.timeformat import DAYS, EPOCH, MONTHS, zone_called

MAX_TEXT: Final = 256
_PART = re.compile(
    r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<bracket>[\[\]])|(?P<plain>[^A-Za-z'\[\]])"
)
_OFFSET = r"[+-]\d\d?(?::?\d\d(?::?\d\d)?)?"
_ZONE = rf"Z|{_OFFSET}|(?:UTC|GMT|UT)(?:{_OFFSET})?|[A-Za-z][A-Za-z0-9~/._+-]*"
_NAMED_ZONES: Final = {
    **dict.fromkeys(("PST", "PDT"), "America/Los_Angeles"),
    **dict.fromkeys(("MST", "MDT"), "America/Denver"),
    **dict.fromkeys(("CST", "CDT"), "America/Chicago"),
    **dict.fromkeys(("EST", "EDT"), "America/New_York"),
    **dict.fromkeys(("CET", "CEST"), "Europe/Paris"),
    "BST": "Europe/London",
    "JST": "Asia/Tokyo",
}
_OFFSETS: Final = {  # by letters
    **dict.fromkeys(("Z", "ZZ", "ZZZ", "xx", "xxxx"), r"[+-]\d{4}"),
    **dict.fromkeys(("ZZZZZ", "XXX", "XXXXX"), r"Z|[+-]\d\d:\d\d"),
    **dict.fromkeys(("XX", "XXXX"), r"Z|[+-]\d{4}"),
    **dict.fromkeys(("xxx", "xxxxx"), r"[+-]\d\d:\d\d"),
    "x": r"[+-]\d\d(?:\d\d)?",
    "X": r"Z|[+-]\d\d(?:\d\d)?",
    "O": r"GMT(?:[+-]\d\d?(?::\d\d)?)?",
    **dict.fromkeys(("ZZZZ", "OOOO"), r"GMT(?:[+-]\d\d:\d\d)?"),
}
Fields = dict[str, str]


def _digits(count: int) -> str:
    return r"\d{1,2}" if count == 1 else rf"\d{{{count}}}"


_KINDS: Final[tuple[tuple[str, range, Callable[[int], str]], ...]] = (  # letters, how many, what they match
    ("V", range(2, 3), lambda count: _ZONE),
    ("z", range(1, 5), lambda count: _ZONE),
    ("yu", range(1, 10), lambda count: r"\d{1,9}" if count == 1 else rf"\d{{{count}}}"),
    ("ML", range(3, 5), lambda count: "|".join(name[: 3 if count == 3 else None] for name in MONTHS)),
    ("E", range(1, 5), lambda count: "|".join(name[: None if count == 4 else 3] for name in DAYS)),
    ("D", range(1, 4), lambda count: r"\d{1,3}" if count < 3 else r"\d{3}"),
    ("MLdHkKhms", range(1, 3), _digits),
    ("S", range(1, 10), lambda count: rf"\d{{{count}}}"),
    ("a", range(1, 2), lambda count: "AM|PM"),
    ("G", range(1, 4), lambda count: "AD"),
)


def _regex(letters: str) -> str:
    """What the letters match. Raises ValueError for what no time is read by here."""
    if letters in _OFFSETS:
        return _OFFSETS[letters]
    for kinds, counts, expression in _KINDS:
        if letters[0] in kinds and len(letters) in counts:
            return expression(len(letters))
    raise ValueError(f"pattern {letters!r} is not supported")


class TimePattern:
    """A compiled pattern. Raises ValueError for what it does not know."""

    def __init__(self, pattern: str) -> None:
        self._names: list[str] = []  # of the groups: their letters
        self._expression = re.compile(self._built(pattern), re.ASCII)

    def _built(self, pattern: str) -> str:
        text, position, depth = "", 0, 0
        while position < len(pattern):
            part = _PART.match(pattern, position)
            if part is None:
                raise ValueError("a quote in the pattern is not closed")
            position = part.end()
            depth += {"[": 1, "]": -1}.get(part[0], 0)
            if depth < 0:
                break
            text += self._piece(part)
        if depth:
            raise ValueError("the brackets of the pattern do not match")
        return text

    def _piece(self, part: re.Match[str]) -> str:
        if part["bracket"]:
            return "(?:" if part[0] == "[" else ")?"
        if part["letters"]:
            self._names.append(part["letters"])
            return f"({_regex(part['letters'])})"
        quoted = part["quoted"]
        if quoted is None and part["plain"] in "{}#":
            raise ValueError(f"{part['plain']!r} is reserved in a pattern")
        return re.escape(part["plain"] if quoted is None else quoted.replace("''", "'") or "'")

    def milliseconds(self, text: str) -> int | None:
        """None when the text does not fit, or names no moment. Without a zone it is UTC, without a time midnight."""
        match = self._expression.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            return None
        found = {name: value for name, value in zip(self._names, match.groups(), strict=True) if value is not None}
        fields = {_field(name): value for name, value in found.items()}
        try:
            moment = (_date(fields) + _time(fields)).replace(tzinfo=_zone(fields.get("zone", "Z")))
            if "E" in fields and not DAYS[moment.weekday()].startswith(fields["E"]):
                return None
            return (moment - EPOCH) // timedelta(milliseconds=1)
        except (KeyError, ValueError, OverflowError, OSError):
            return None


def _field(letters: str) -> str:
    """Which field letters stand for; years of two digits are their own."""
    letter = letters[0]
    if letter in "yu":
        return "yy" if len(letters) == 2 else "y"
    return "zone" if letter in "VzZxXO" else "M" if letter == "L" else letter


def _date(fields: Fields) -> datetime:
    year = int(fields["y"]) if "y" in fields else 2000 + int(fields["yy"])
    if "D" in fields:
        day = datetime(year, 1, 1) + timedelta(days=int(fields["D"]) - 1)
        if day.year != year:
            raise ValueError("a day that the year does not have")
        return day
    month = fields["M"]
    number = int(month) if month.isdigit() else 1 + [name[:3] for name in MONTHS].index(month[:3])
    return datetime(year, number, int(fields["d"]))


_HOURS: Final[dict[str, Callable[[int, Fields], int]]] = {
    "H": lambda hour, fields: hour,
    "k": lambda hour, fields: hour % 24,
    "K": lambda hour, fields: hour + 12 * (fields["a"] == "PM"),
    "h": lambda hour, fields: hour % 12 + 12 * (fields["a"] == "PM"),
}
_LARGEST: Final = {"H": 23, "k": 24, "K": 11, "h": 12, "m": 59, "s": 59}


def _time(fields: Fields) -> timedelta:
    numbers = {letter: int(fields[letter]) for letter in _LARGEST if letter in fields}
    if any(value > _LARGEST[letter] or (letter in "kh" and not value) for letter, value in numbers.items()):
        raise ValueError("no time of a day")
    hours = [_HOURS[letter](numbers[letter], fields) for letter in _HOURS if letter in numbers]
    fraction = timedelta(microseconds=int(fields.get("S", "0").ljust(6, "0")[:6]))
    return (
        timedelta(hours=hours[0] if hours else 0, minutes=numbers.get("m", 0), seconds=numbers.get("s", 0)) + fraction
    )


def _zone(text: str) -> tzinfo:
    bare = text.removeprefix("UTC").removeprefix("GMT").removeprefix("UT")
    if bare in ("", "Z"):
        return UTC
    if bare[0] not in "+-":
        return zone_called(_NAMED_ZONES.get(text, text))
    digits = bare[1:].replace(":", "")
    if len(digits) % 2:
        digits = "0" + digits
    parts = [int(digits[index : index + 2]) for index in range(0, len(digits), 2)] + [0, 0]
    if parts[0] > 18 or parts[1] > 59 or parts[2] > 59:
        raise ValueError("no offset")
    offset = timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    return timezone(-offset if bare[0] == "-" else offset)
