"""Schedule expressions: ``rate(…)``, ``cron(…)`` with AWS's six fields, and ``at(…)``. Sans-IO.

The language of EventBridge rules and of EventBridge Scheduler (user guides, "Schedule types" and "Cron expressions
reference"). ``parse`` checks an expression once; ``next_after`` gives the next moment strictly after another one.

==============  =============================================  =====================================================
field           values                                         wildcards
==============  =============================================  =====================================================
minutes         0-59                                           ``, - * /``
hours           0-23                                           ``, - * /``
day of month    1-31                                           ``, - * / ? L W``
month           1-12 or JAN-DEC                                ``, - * /``
day of week     1-7 (1 is Sunday) or SUN-SAT                   ``, - * ? L #``
year            1970-2199                                      ``, - * /``
==============  =============================================  =====================================================

One of the two days must be ``?``. Time zones (Scheduler only; rules run in UTC): a wall-clock time that the spring
leaves out is skipped, and one that the autumn repeats counts once, the first time.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
FIRST_YEAR, LAST_YEAR = 1970, 2199
MONTHS = {name: number for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
DAYS = {name: number for number, name in enumerate("SUN MON TUE WED THU FRI SAT".split(), 1)}
_EXPRESSION = re.compile(r"(rate|cron|at)\((.*)\)", re.DOTALL)
_RATE = re.compile(r"([1-9][0-9]{0,8}) (minute|hour|day)(s?)")
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class ScheduleError(ValueError):
    """An expression that is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so many seconds, counted from when the schedule was made (or from its start date)."""

    seconds: int

    def next_after(self, moment: float, origin: float, zone: tzinfo = UTC) -> float | None:
        return origin + self.seconds * max(1, math.floor((moment - origin) / self.seconds) + 1)


@dataclass(frozen=True, slots=True)
class At:
    """Once, at a wall-clock time."""

    when: datetime  # without a zone

    def next_after(self, moment: float, origin: float, zone: tzinfo = UTC) -> float | None:
        due = self.when.replace(tzinfo=zone).timestamp()
        return due if due > moment else None


@dataclass(frozen=True, slots=True)
class MonthDays:
    """Day of month: plain days, ``L`` (the last), ``nW`` and ``LW`` (the weekday nearest to it)."""

    days: frozenset[int] = frozenset()
    last: bool = False
    nearest: frozenset[int] = frozenset()
    last_weekday: bool = False

    def of(self, year: int, month: int) -> set[int]:
        length = calendar.monthrange(year, month)[1]
        found = {day for day in self.days if day <= length}
        if self.last:
            found.add(length)
        if self.last_weekday:
            found.add(_weekday_near(year, month, length, length))
        return found | {_weekday_near(year, month, day, length) for day in self.nearest if day <= length}


@dataclass(frozen=True, slots=True)
class WeekDays:
    """Day of week: plain days, ``nL`` (the last such day of the month), ``n#k`` (the k-th)."""

    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    counted: frozenset[tuple[int, int]] = frozenset()

    def of(self, year: int, month: int) -> set[int]:
        length = calendar.monthrange(year, month)[1]
        found = set()
        for day in range(1, length + 1):
            weekday = date(year, month, day).isoweekday() % 7 + 1
            counted = (weekday, (day - 1) // 7 + 1) in self.counted
            if weekday in self.days or counted or (weekday in self.last and day + 7 > length):
                found.add(day)
        return found


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: MonthDays | WeekDays
    months: tuple[int, ...]
    years: tuple[int, ...]

    def next_after(self, moment: float, origin: float, zone: tzinfo = UTC) -> float | None:
        """None when it never fires again."""
        local = datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
        start = local - timedelta(hours=3)  # the autumn may have put the clock back: what is past is passed over
        for wall in self._walls(start.replace(second=0, microsecond=0)):
            due = wall.replace(tzinfo=zone).timestamp()
            left_out = datetime.fromtimestamp(due, zone).replace(tzinfo=None) != wall
            if due > moment and not left_out:
                return due
        return None

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Wall-clock times from ``start`` on."""
        for year in self.years:
            if year < start.year:
                continue
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in sorted(self.days.of(year, month)):
                    if date(year, month, day) < start.date():
                        continue
                    for hour in self.hours:
                        for minute in self.minutes:
                            wall = datetime(year, month, day, hour, minute)
                            if wall >= start:
                                yield wall


Schedule = Rate | At | Cron


def parse(text: str) -> Schedule:
    """Raises ScheduleError."""
    found = _EXPRESSION.fullmatch(text)
    if found is None:
        raise ScheduleError("an expression is rate(…), cron(…) or at(…)")
    kind, inner = found[1], found[2]
    if kind == "rate":
        return _rate(inner)
    return _at(inner) if kind == "at" else _cron(inner)


def zone_of(name: str) -> tzinfo:
    """Raises ScheduleError for a zone that the IANA database does not have."""
    from zoneinfo import ZoneInfo  # it reads all of sysconfig, for who says a zone

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"{name[:50]} is not a time zone of the IANA database") from None


def next_after(expression: str, moment: float, zone: tzinfo = UTC, origin: float = 0.0) -> float | None:
    """The next moment (Unix seconds) strictly after ``moment``; None when there is none. Raises ScheduleError."""
    return parse(expression).next_after(moment, origin, zone)


def _rate(text: str) -> Rate:
    found = _RATE.fullmatch(text)
    if found is None or (found[1] == "1") == bool(found[3]):
        raise ScheduleError("a rate is a number above 0 and minute(s), hour(s) or day(s): singular for 1 only")
    return Rate(int(found[1]) * UNITS[found[2]])


def _at(text: str) -> At:
    if not _AT.fullmatch(text):
        raise ScheduleError("at() takes a time as yyyy-mm-ddThh:mm:ss")
    try:
        return At(datetime.fromisoformat(text))
    except ValueError as error:
        raise ScheduleError(f"at(): {error}") from None


def _cron(text: str) -> Cron:
    fields = text.split(" ")
    if len(fields) != 6 or not all(fields):
        raise ScheduleError("cron() takes six fields, one space apart: minutes hours day month weekday year")
    minutes, hours, day, month, weekday, year = (field.upper() for field in fields)
    if (day == "?") == (weekday == "?"):
        raise ScheduleError("of day of month and day of week, one must be ?, and one must not")
    return Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        _month_days(day) if weekday == "?" else _week_days(weekday),
        _numbers(month, 1, 12, MONTHS),
        _numbers(year, FIRST_YEAR, LAST_YEAR, wraps=False),
    )


def _month_days(text: str) -> MonthDays:
    days: set[int] = set()
    nearest: set[int] = set()
    last = last_weekday = False
    for part in text.split(","):
        if part == "L":
            last = True
        elif part == "LW":
            last_weekday = True
        elif part.endswith("W"):
            nearest.add(_number(part[:-1], 1, 31, {}))
        else:
            days.update(_numbers(part, 1, 31))
    return MonthDays(frozenset(days), last, frozenset(nearest), last_weekday)


def _week_days(text: str) -> WeekDays:
    days: set[int] = set()
    last: set[int] = set()
    counted: set[tuple[int, int]] = set()
    for part in text.split(","):
        if part == "L":
            days.add(7)  # alone, it is Saturday
        elif "#" in part:
            day, _, nth = part.partition("#")
            counted.add((_number(day, 1, 7, DAYS), _number(nth, 1, 5, {})))
        elif part.endswith("L") and part not in DAYS:
            last.add(_number(part[:-1], 1, 7, DAYS))
        else:
            days.update(_numbers(part, 1, 7, DAYS))
    return WeekDays(frozenset(days), frozenset(last), frozenset(counted))


def _numbers(
    text: str, low: int, high: int, names: dict[str, int] | None = None, *, wraps: bool = True
) -> tuple[int, ...]:
    """A field of numbers: lists of values, ranges and steps. A range may go over the end (FRI-MON, 20-2)."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, 1, max(high, 1), {}) if slash else 1
        if span == "*":
            first, last = low, high
        elif "-" in span:
            left, _, right = span.partition("-")
            first, last = _number(left, low, high, names or {}), _number(right, low, high, names or {})
        else:
            first = _number(span, low, high, names or {})
            last = high if slash else first
        if first > last and not wraps:
            raise ScheduleError(f"the range {part[:30]} goes backwards")
        end = last if first <= last else last + high - low + 1
        found.update((value - low) % (high - low + 1) + low for value in range(first, end + 1, step))
    return tuple(sorted(found))


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high):
        raise ScheduleError(f"{text[:30]!r} is not a number from {low} to {high}")
    return int(text)


def _weekday_near(year: int, month: int, day: int, length: int) -> int:
    """The weekday nearest to a day, in the same month."""
    weekday = date(year, month, day).isoweekday()
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 7:
        return day + 1 if day < length else day - 2
    return day
