"""``time_to_epoch``: Java's date patterns, read. The first three are AWS's examples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.iotsql import Context, SqlError, compile_rule
from littoral.protocols.iotsql.timeparse import TimePattern


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("2020-04-03 09:45:18 UTC+01:00", "yyyy-MM-dd HH:mm:ss VV", 1585903518000),
        ("18 December 2015", "dd MMMM yyyy", 1450396800000),
        ("2007-12-03 10:15:30.592 America/Los_Angeles", "yyyy-MM-dd HH:mm:ss.SSS z", 1196705730592),
        ("20200403T094518Z", "yyyyMMdd'T'HHmmssX", 1585907118000),
        ("2020-04-03T09:45:18+05:30", "yyyy-MM-dd'T'HH:mm:ssXXX", 1585887318000),
        ("2020-04-03 09:45:18 -0800", "yyyy-MM-dd HH:mm:ss Z", 1585935918000),
        ("2020-04-03 09:45:18 GMT-8", "yyyy-MM-dd HH:mm:ss O", 1585935918000),
        ("2020-07-03 09:45:18 PDT", "yyyy-MM-dd HH:mm:ss z", 1593794718000),
        ("4/3/20 9:45 PM", "M/d/yy h:mm a", 1585950300000),
        ("12:00 AM 3 Apr 2020", "h:mm a d MMM yyyy", 1585872000000),
        ("Fri, 3 Apr 2020", "EEE, d MMM yyyy", 1585872000000),
        ("2020094", "yyyyDDD", 1585872000000),
        ("2020-04-03", "yyyy-MM-dd[ HH:mm]", 1585872000000),
        ("2020-04-03 09:45", "yyyy-MM-dd[ HH:mm]", 1585907100000),
        ("day 3 o'clock 04 2020", "'day' d 'o''clock' MM yyyy", 1585872000000),
        ("1969-12-31", "yyyy-MM-dd", -86400000),
        ("2020-02-30", "yyyy-MM-dd", None),
        ("2019366", "yyyyDDD", None),
        ("Mon, 3 Apr 2020", "EEE, d MMM yyyy", None),  # it was a Friday
        ("2020-04-03 24:00", "yyyy-MM-dd HH:mm", None),
        ("2020-04-03 9:45", "yyyy-MM-dd h:mm", None),  # morning or evening?
        ("2020-04", "yyyy-MM", None),
        ("2020-04-03 No/Where", "yyyy-MM-dd VV", None),
        ("2020-04-03 +99:00", "yyyy-MM-dd VV", None),
        ("2020-04-03 and more", "yyyy-MM-dd", None),
        ("", "yyyy", None),
        ("9" * 300, "yyyy", None),
    ],
)
def test_a_text_is_read_by_its_pattern(text: str, pattern: str, expected: int | None) -> None:
    assert TimePattern(pattern).milliseconds(text) == expected


@pytest.mark.parametrize(
    "pattern", ["QQQ", "yyyy'", "yyyy]", "[yyyy", "yyyy{", "aa", "VVV", "MMMMM", "ww", "yyyyyyyyyy"]
)
def test_a_pattern_that_would_be_read_otherwise_is_refused(pattern: str) -> None:
    literal = pattern.replace("'", "''")
    with pytest.raises(SqlError, match="time_to_epoch"):
        compile_rule(f"SELECT time_to_epoch(t, '{literal}') FROM 'x'")


def test_a_message_without_a_text_is_undefined() -> None:
    rule = compile_rule("SELECT time_to_epoch(t, 'yyyy-MM-dd') AS it, time_to_epoch(2020, 'yyyyDDD') AS no FROM 'x'")
    selected = rule.evaluate(Context("x", b'{"t": null}', 0))
    assert selected is not None and selected.payload == b"{}"


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31)))
def test_what_was_formatted_is_read_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    expected = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    text = moment.strftime("%Y-%j %d %b %H:%M:%S.") + f"{moment.microsecond // 1000:03d} +0000"
    assert TimePattern("yyyy-DDD dd MMM HH:mm:ss.SSS Z").milliseconds(text) == expected


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_and_no_pattern_is_a_crash(pattern: str, text: str) -> None:
    try:
        read = TimePattern(pattern)
    except ValueError:
        return
    read.milliseconds(text)
