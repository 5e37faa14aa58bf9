"""Date patterns for ``parse_time``: the Joda-Time letters that mean something without a locale other than English.

Owns: pattern to text. A letter that is not here is refused when the rule is created, not printed as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

_PART = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<plain>[^A-Za-z']+)|(?P<open>')")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ["January", "February", "March", "April", "May", "June", "July"]
MONTHS += ["August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

Piece = Callable[[datetime], str]


def zone_called(name: str) -> tzinfo:
    """Raises KeyError, ValueError, OSError where there is none."""
    from zoneinfo import ZoneInfo  # it reads all of sysconfig, for few statements

    return ZoneInfo(name)


def _padded(count: int, of: Callable[[datetime], int]) -> Piece:
    return lambda moment: str(of(moment)).zfill(count)


def _year(count: int) -> Piece:
    return _padded(2, lambda m: m.year % 100) if count == 2 else _padded(count, lambda m: m.year)


def _month(count: int) -> Piece:
    if count < 3:
        return _padded(count, lambda m: m.month)
    return lambda m: MONTHS[m.month - 1][: 3 if count == 3 else None]


def _weekday(count: int) -> Piece:
    return lambda m: DAYS[m.weekday()][: 3 if count < 4 else None]


def _fraction(count: int) -> Piece:
    return lambda m: f"{m.microsecond:06d}".ljust(count, "0")[:count]


def _offset(count: int) -> Piece:
    if count > 2:
        return lambda m: str(m.tzinfo)

    def offset(moment: datetime) -> str:
        text = moment.strftime("%z")[:5]
        return text if count == 1 else f"{text[:3]}:{text[3:]}"

    return offset


_LETTERS: dict[str, Callable[[int], Piece]] = {
    "G": lambda count: lambda m: "AD",
    "y": _year,
    "Y": _year,
    "M": _month,
    "d": lambda count: _padded(count, lambda m: m.day),
    "D": lambda count: _padded(count, lambda m: m.timetuple().tm_yday),
    "E": _weekday,
    "e": lambda count: _padded(count, lambda m: m.isoweekday()),
    "a": lambda count: lambda m: "AM" if m.hour < 12 else "PM",
    "H": lambda count: _padded(count, lambda m: m.hour),
    "k": lambda count: _padded(count, lambda m: m.hour or 24),
    "K": lambda count: _padded(count, lambda m: m.hour % 12),
    "h": lambda count: _padded(count, lambda m: m.hour % 12 or 12),
    "m": lambda count: _padded(count, lambda m: m.minute),
    "s": lambda count: _padded(count, lambda m: m.second),
    "S": _fraction,
    "z": lambda count: lambda m: m.strftime("%Z"),
    "Z": _offset,
}


class TimeFormat:
    """A compiled pattern. Raises ValueError for a letter that it does not know."""

    def __init__(self, pattern: str) -> None:
        self._pieces = [self._piece(part) for part in _PART.finditer(pattern)]

    @staticmethod
    def _piece(part: re.Match[str]) -> Piece:
        if part["open"]:
            raise ValueError("a quote in the pattern is not closed")
        letters = part["letters"]
        if letters:
            if letters[0] not in _LETTERS or len(letters) > 10:
                raise ValueError(f"pattern {letters!r} is not supported")
            return _LETTERS[letters[0]](len(letters))
        quoted = part["quoted"]
        text = part["plain"] if quoted is None else quoted.replace("''", "'") or "'"
        return lambda moment: text

    def format(self, milliseconds: int, zone: str) -> str | None:
        """None when the time or the zone does not exist."""
        try:
            moment = (EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone_called(zone))
        except (KeyError, ValueError, OverflowError, OSError):
            return None
        return "".join(piece(moment) for piece in self._pieces)
