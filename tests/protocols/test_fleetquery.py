"""Queries over fleets, case by case and against whatever text comes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.fleetquery import QueryError, parse

THING: dict[str, Any] = {
    "thingName": "bed-7",
    "thingTypeName": "monitor",
    "thingGroupNames": ["ward", "floor2"],
    "attributes": {"serial": "A-100", "year": "2021", "note": "left side"},
    "shadow": {
        "reported": {"rate": 72, "mode": "auto", "alarms": ["low", "high"], "deep": {"x": 1.5}},
        "hasDelta": True,
        "name": {"config": {"desired": {"limit": 5}}},
    },
    "connectivity": {"connected": True, "timestamp": 1700000000000},
}


@pytest.mark.parametrize(
    "query",
    [
        "*",
        "thingName:bed-7",
        "thingName:bed*",
        "thingName:b?d-7",
        "thingName:*-7",
        'thingName:"bed-7"',
        "bed-7",
        "monitor",
        "ward",
        "A-100",
        "thingTypeName:monitor AND thingGroupNames:ward",
        "thingTypeName:monitor thingGroupNames:floor2",
        "thingName:nobody OR thingTypeName:monitor",
        "NOT thingName:nobody",
        "thingName:bed-7 -thingTypeName:pump",
        "thingName:(nobody OR bed-7)",
        "(thingName:nobody OR thingName:bed-7) AND attributes.year:2021",
        "attributes.year:[2020 TO 2022]",
        "attributes.year:[2021 TO 2021]",
        "attributes.year:{2020 TO 2022}",
        "attributes.year:[2021 TO *]",
        "attributes.year>2020",
        "attributes.year>=2021",
        "attributes.year<=2021",
        "attributes.serial:[A TO B]",
        'attributes.note:"left side"',
        "shadow.reported.rate:72",
        "shadow.reported.rate>71.5",
        "shadow.reported.alarms:high",
        "shadow.reported.deep.x<2",
        "shadow.hasDelta:true",
        "shadow.name.config.desired.limit:5",
        "connectivity.connected:true",
        "connectivity.timestamp>1600000000000",
    ],
)
def test_it_matches(query: str) -> None:
    assert parse(query).match(THING)


@pytest.mark.parametrize(
    "query",
    [
        "thingName:bed",
        "thingName:BED-7",
        'thingName:"bed*"',
        r"thingName:bed\*",
        "auto",
        "NOT thingName:bed-7",
        "-bed-7",
        "thingName:bed-7 AND thingTypeName:pump",
        "thingTypeName:pump thingName:bed-7",
        "attributes.year:{2021 TO 2022]",
        "attributes.year>2021",
        "attributes.year<2021",
        "shadow.reported.rate:[73 TO 80]",
        "shadow.reported.mode>5 AND thingName:nobody",
        "shadow.hasDelta:1",
        "connectivity.connected:false",
        "nothing.there:x",
        "thingName.more:x",
    ],
)
def test_it_does_not(query: str) -> None:
    assert not parse(query).match(THING)


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "(",
        ")",
        "a OR",
        "a AND",
        "NOT",
        "-",
        "x:",
        "x>",
        "x:[1 TO",
        "x:[1 2 3]",
        "x:[1 TO 2",
        "x:(a",
        "7a:b",
        '"open',
        "a" * 1001,
        "(" * 30 + "a",
        " ".join("a" * 13),
    ],
)
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        parse(query)


@given(st.text(alphabet='abx*?()[]{}:<>"\\ -.TORANDOT12', max_size=60))
def test_whatever_comes_is_a_query_or_refused(text: str) -> None:
    with contextlib.suppress(QueryError):
        assert parse(text).match(THING) in (True, False)


def test_many_stars_take_no_time() -> None:
    parse("thingName:" + "*a" * 400).match({"thingName": "a" * 100_000 + "b"})
