"""Times that are written without a datetime for each are those that a datetime would be."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.wire.scalars import _iso_text, as_moment, time_text


@given(st.integers(-(10**9) * 1000, 2**32 * 1000))
def test_milliseconds_since_1970(milliseconds: int) -> None:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    assert _iso_text(milliseconds / 1000) == moment.isoformat(timespec="milliseconds")[:-6] + "Z"
    assert _iso_text(moment) == _iso_text(milliseconds / 1000)


@given(st.floats(-6e10, 2.5e11))
def test_what_is_far_away_too(seconds: float) -> None:
    assert _iso_text(seconds)[:16] == as_moment(round(seconds, 3)).isoformat()[:16] or seconds % 60 > 59.999


@given(st.datetimes(timezones=st.just(UTC)))
def test_dates_of_headers(moment: datetime) -> None:
    assert time_text(moment, "rfc822") == format_datetime(moment, usegmt=True)
