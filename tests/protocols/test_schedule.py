"""Schedule expressions: a table of examples (AWS's own among them), and properties of all."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.schedule import Cron, ScheduleError, next_after, parse, zone_of


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# expression, after, next (None: never)
EXAMPLES = [
    ("cron(0 10 * * ? *)", "2026-11-23T10:00:00", "2026-11-24T10:00:00"),
    ("cron(0 10 * * ? *)", "2026-11-23T09:59:59", "2026-11-23T10:00:00"),
    ("cron(15 12 * * ? *)", "2026-12-31T12:15:00", "2027-01-01T12:15:00"),
    ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00:00", "2026-11-23T18:00:00"),
    ("cron(0 8 1 * ? *)", "2026-11-23T00:00:00", "2026-12-01T08:00:00"),
    ("cron(0/15 * * * ? *)", "2026-11-23T10:31:00", "2026-11-23T10:45:00"),
    ("cron(0/10 * ? * MON-FRI *)", "2026-11-20T23:50:00", "2026-11-23T00:00:00"),
    ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-23T17:55:00", "2026-11-24T08:00:00"),
    ("cron(0/30 20-2 ? * MON-FRI *)", "2026-11-20T23:30:00", "2026-11-23T00:00:00"),
    ("cron(0 0 L * ? *)", "2028-02-01T00:00:00", "2028-02-29T00:00:00"),
    ("cron(0 0 29 2 ? *)", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
    ("cron(0 0 31 * ? *)", "2026-01-31T00:00:00", "2026-03-31T00:00:00"),
    ("cron(0 9 15W * ? *)", "2026-08-01T00:00:00", "2026-08-14T09:00:00"),  # the 15th is a Saturday
    ("cron(0 9 15W * ? *)", "2026-11-01T00:00:00", "2026-11-16T09:00:00"),  # the 15th is a Sunday
    ("cron(0 9 1W * ? *)", "2026-08-01T00:00:00", "2026-08-03T09:00:00"),  # the 1st is a Saturday: never backwards
    ("cron(0 9 31W * ? *)", "2026-05-01T00:00:00", "2026-05-29T09:00:00"),  # the 31st is a Sunday: never into June
    ("cron(0 9 LW * ? *)", "2026-10-01T00:00:00", "2026-10-30T09:00:00"),
    ("cron(0 9 ? * 6L *)", "2026-11-01T00:00:00", "2026-11-27T09:00:00"),
    ("cron(0 9 ? * FRIL *)", "2026-11-01T00:00:00", "2026-11-27T09:00:00"),
    ("cron(0 9 ? * L *)", "2026-11-23T00:00:00", "2026-11-28T09:00:00"),
    ("cron(0 9 ? * 2#1 *)", "2026-11-03T00:00:00", "2026-12-07T09:00:00"),
    ("cron(0 9 ? * TUE#5 *)", "2026-11-01T00:00:00", "2026-12-29T09:00:00"),
    ("cron(0 9 ? * FRI-SUN *)", "2026-11-23T00:00:00", "2026-11-27T09:00:00"),
    ("cron(0 9 ? * 1,4 *)", "2026-11-23T00:00:00", "2026-11-25T09:00:00"),
    ("cron(0 9 1 NOV-JAN ? *)", "2026-12-02T00:00:00", "2027-01-01T09:00:00"),
    ("cron(0 9 1 jan ? 2027,2030)", "2027-02-01T00:00:00", "2030-01-01T09:00:00"),
    ("cron(0 9 1 1 ? 2026)", "2026-01-01T09:00:00", None),
    ("cron(0 0 30 2 ? *)", "2026-01-01T00:00:00", None),
    ("rate(5 minutes)", "1970-01-01T00:07:00", "1970-01-01T00:10:00"),
    ("rate(1 hour)", "1970-01-01T01:00:00", "1970-01-01T02:00:00"),
    ("rate(7 days)", "1970-01-01T00:00:00", "1970-01-08T00:00:00"),
    ("at(2026-11-24T07:30:00)", "2026-11-23T00:00:00", "2026-11-24T07:30:00"),
    ("at(2026-11-24T07:30:00)", "2026-11-24T07:30:00", None),
]


@pytest.mark.parametrize(("expression", "after", "expected"), EXAMPLES)
def test_examples(expression: str, after: str, expected: str | None) -> None:
    found = next_after(expression, moment(after))
    assert found == (None if expected is None else moment(expected))


def test_time_zones_are_wall_clocks() -> None:
    berlin = zone_of("Europe/Berlin")
    assert next_after("cron(30 8 * * ? *)", moment("2026-07-01T00:00:00"), berlin) == moment("2026-07-01T06:30:00")
    assert next_after("cron(30 8 * * ? *)", moment("2026-12-01T00:00:00"), berlin) == moment("2026-12-01T07:30:00")
    # 2026-03-29 02:30 does not exist in Berlin; 2026-10-25 02:30 comes twice
    assert next_after("cron(30 2 * * ? *)", moment("2026-03-28T12:00:00"), berlin) == moment("2026-03-30T00:30:00")
    first = next_after("cron(30 2 * * ? *)", moment("2026-10-24T12:00:00"), berlin)
    assert first == moment("2026-10-25T00:30:00")
    assert next_after("cron(30 2 * * ? *)", first, berlin) == moment("2026-10-26T01:30:00")
    assert next_after("at(2026-07-01T09:00:00)", 0.0, berlin) == moment("2026-07-01T07:00:00")
    with pytest.raises(ScheduleError):
        zone_of("Europe/Atlantis")
    with pytest.raises(ScheduleError):
        zone_of("../../etc/passwd")


def test_a_rate_is_counted_from_its_origin() -> None:
    assert next_after("rate(10 minutes)", 1000.0, UTC, origin=950.0) == 1550.0
    assert next_after("rate(10 minutes)", 1550.0, UTC, origin=950.0) == 2150.0
    assert next_after("rate(10 minutes)", 0.0, UTC, origin=950.0) == 1550.0


@pytest.mark.parametrize(
    "expression",
    [
        "", "rate()", "rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 seconds)", "rate(-1 minutes)",
        "rate(5  minutes)", "rate(1.5 hours)", "at(2026-13-01T00:00:00)", "at(2026-11-24)", "at(2026-11-24T07:30:00Z)",
        "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(0 10 * * ?)", "cron(60 10 * * ? *)", "cron(0 24 * * ? *)",
        "cron(0 0 0 * ? *)", "cron(0 0 32 * ? *)", "cron(0 0 1 13 ? *)", "cron(0 0 ? * 8 *)", "cron(0 0 ? * MON#6 *)",
        "cron(0 0 1 * ? 2200)", "cron(*/0 0 1 * ? *)", "cron(a 0 1 * ? *)", "cron(0 0 W * ? *)",
        "cron(0 0 1 * ? 2030-2027)", "cron(, 0 1 * ? *)", "CRON(0 10 * * ? *)", "cron(0 10 * * ? *) ",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError):
        parse(expression)


MOMENTS = st.integers(int(moment("1999-12-31T00:00:00")), int(moment("2040-01-01T00:00:00"))).map(float)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])


@st.composite
def crons(draw: st.DrawFn) -> str:
    minute = draw(st.sampled_from(["*", "0", "0/7", "5-20", "3,59"]))
    hour = draw(st.sampled_from(["*", "0", "2", "23", "8-17", "1/5"]))
    month = draw(st.sampled_from(["*", "2", "JAN,JUL", "3-5", "OCT-FEB"]))
    day, weekday = draw(
        st.sampled_from(
            [
                ("*", "?"),
                ("L", "?"),
                ("LW", "?"),
                ("15W", "?"),
                ("29", "?"),
                ("?", "MON-FRI"),
                ("?", "2#5"),
                ("?", "7L"),
            ]
        )
    )
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


@given(crons(), MOMENTS, ZONES)
def test_the_next_moment_is_later_and_fits_and_none_is_passed_over(expression: str, after: float, name: str) -> None:
    zone = ZoneInfo(name)
    schedule = parse(expression)
    assert isinstance(schedule, Cron)
    due = schedule.next_after(after, 0.0, zone)
    assert due is not None and due > after
    wall = datetime.fromtimestamp(due, zone)
    assert wall.second == 0 and wall.minute in schedule.minutes and wall.hour in schedule.hours
    assert wall.month in schedule.months and wall.day in schedule.days.of(wall.year, wall.month)
    # from any moment before it, the same one is next
    assert schedule.next_after((after + due) / 2, 0.0, zone) == due
    assert schedule.next_after(due - 0.5, 0.0, zone) == due


@given(st.integers(1970, 2199), st.integers(1, 12))
def test_the_last_weekday_is_the_last_day_that_is_one(year: int, month: int) -> None:
    days = parse("cron(0 0 LW * ? *)").days.of(year, month)  # type: ignore[union-attr]
    length = calendar.monthrange(year, month)[1]
    assert days == {max(day for day in range(1, length + 1) if datetime(year, month, day).isoweekday() < 6)}


@given(st.text("0123456789*/,-?LW# MONFRIratecn()", max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for form in (text, f"cron({text})", f"rate({text})", f"at({text})"):
        try:
            parse(form)
        except ScheduleError:
            continue
