"""CloudFront's time-to-live table and RFC 9111's ages, by example and by property."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.httpcache import Ttl, cache_control, http_date, initial_age, lifetime, shareable
from littoral.protocols.httpcache.directives import date_text

NOW = 1_795_000_000.0
ZERO, MINIMUM = Ttl(0, 100, 1000), Ttl(10, 100, 1000)


def of(cache: str | None = None, status: int = 200, ttl: Ttl = ZERO, **headers: str) -> float | str:
    """Seconds, or why not."""
    given_headers = {name.replace("_", "-"): [value] for name, value in headers.items()}
    if cache is not None:
        given_headers["cache-control"] = [cache]
    found = lifetime(status, given_headers, ttl, NOW)
    return found.refusal if found.refusal is not None else found.seconds


def at(offset: float) -> str:
    return date_text(NOW + offset)


@pytest.mark.parametrize(
    ("cache", "headers", "with_zero", "with_minimum"),
    [
        (None, {}, 100, 100),
        ("max-age=50", {}, 50, 50),
        ("max-age=5", {}, 5, 10),
        ("max-age=5000", {}, 1000, 1000),
        ("max-age=50, s-maxage=70", {}, 70, 70),
        ("s-maxage=5, max-age=70", {}, 5, 10),
        ("max-age=0", {"etag": "1"}, 0, 10),
        ("max-age=0", {}, "no time to live and no validator", 10),
        ("no-store", {}, "no-store", 10),
        ("private, max-age=50", {}, "private", 10),
        ("no-cache", {}, "no-cache", 10),
        ("no-cache", {"etag": "1"}, 0, 10),
        (None, {"expires": at(60)}, 60, 60),
        (None, {"expires": at(60), "date": at(-30)}, 90, 90),
        (None, {"expires": "0", "etag": "1"}, 0, 10),
        (None, {"expires": at(-60), "etag": "1"}, 0, 10),
        ("max-age=50", {"expires": at(600)}, 50, 50),
        ('max-age="50"', {}, 50, 50),
        ("MAX-AGE=50", {}, 50, 50),
        ("max-age=1.5", {"etag": "1"}, 0, 10),
        ("max-age=-1", {"etag": "1"}, 0, 10),
        ("max-age=99999999999999999999", {}, 1000, 1000),
        ("public", {}, 100, 100),
    ],
)
def test_the_table(cache: str | None, headers: dict[str, str], with_zero: float | str, with_minimum: float) -> None:
    assert of(cache, ttl=ZERO, **headers) == with_zero
    assert of(cache, ttl=MINIMUM, **headers) == with_minimum


@pytest.mark.parametrize("status", [404, 414, 500, 501, 502, 503, 504])
def test_errors_are_kept_for_at_least_the_error_minimum(status: int) -> None:
    assert of(None, status) == 10
    assert of("max-age=3", status) == 10
    assert of("max-age=30", status) == 30
    assert of("no-store", status) == 10


@pytest.mark.parametrize("status", [400, 403, 405, 412, 415])
def test_other_errors_only_when_the_origin_says_so(status: int) -> None:
    assert isinstance(of(None, status), str)
    assert of("max-age=30", status) == 30
    assert of("max-age=3", status) == 10


@pytest.mark.parametrize("status", [201, 202, 303, 401, 402, 409, 416, 418, 429, 505])
def test_what_cloudfront_never_keeps_is_kept_where_the_origin_says_how_long(status: int) -> None:
    assert of(None, status) == f"status {status} is not kept"
    assert of("max-age=30", status) == 30
    assert of("no-store, max-age=30", status) == "no-store"


def test_a_maximum_of_zero_keeps_nothing() -> None:
    assert isinstance(of("max-age=30", ttl=Ttl(0, 0, 0)), str)


def test_stale_directives() -> None:
    found = lifetime(200, {"cache-control": ["max-age=1, stale-while-revalidate=7, stale-if-error=9"]}, ZERO, NOW)
    assert (found.stale_while_revalidate, found.stale_if_error) == (7, 9)
    assert lifetime(200, {}, ZERO, NOW).stale_if_error is None
    for word in ("must-revalidate", "proxy-revalidate", "s-maxage=1"):
        found = lifetime(200, {"cache-control": [f"max-age=1, {word}, stale-if-error=9"]}, ZERO, NOW)
        assert (found.stale_while_revalidate, found.stale_if_error) == (0, 0)
    found = lifetime(200, {"cache-control": ["no-cache, stale-if-error=9"], "etag": ["1"]}, ZERO, NOW)
    assert found.stale_if_error == 0


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["max-age=1, No-Cache"], {"max-age": "1", "no-cache": None}),
        (["max-age=1", "max-age=2"], {"max-age": "1"}),
        (['private="a, b", max-age=5'], {"private": "a, b", "max-age": "5"}),
        (['x="a\\"b"'], {"x": 'a"b'}),
        ([",, ,max-age = 1"], {"max-age": "1"}),
        (["(oops), max-age=1"], {"max-age": "1"}),
        ([""], {}),
        (["a" + " " * 60000 + "x, max-age=1"], {"max-age": "1"}),  # its time is linear
        (["a" + " " * 60000 + "=x y, max-age=1"], {"max-age": "1"}),
    ],
)
def test_directives(values: list[str], found: dict[str, str | None]) -> None:
    assert cache_control(values) == found


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("0", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, moment: float | None) -> None:
    assert http_date(text) == moment


def test_ages() -> None:
    assert initial_age({}, NOW, NOW + 2) == 2
    assert initial_age({"age": ["30"]}, NOW, NOW + 2) == 32
    assert initial_age({"date": [at(-40)]}, NOW, NOW) == 40
    assert initial_age({"date": [at(400)]}, NOW, NOW) == 0
    assert initial_age({"age": ["x"]}, NOW, NOW) == 0


texts = st.text(max_size=60)
ttls = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)).map(
    lambda t: Ttl(min(t), sorted(t)[1], max(t))
)


@given(st.lists(texts, max_size=4))
def test_any_header_can_be_read(values: list[str]) -> None:
    for name, value in cache_control(values).items():
        assert name == name.lower()
        assert value is None or isinstance(value, str)


@given(texts)
def test_any_date_can_be_read(text: str) -> None:
    found = http_date(text)
    assert found is None or math.isfinite(found)


@given(st.integers(100, 599), texts, texts, texts, ttls)
def test_a_lifetime_lies_between_minimum_and_maximum(
    status: int, cache: str, expires: str, date: str, ttl: Ttl
) -> None:
    found = lifetime(status, {"cache-control": [cache], "expires": [expires], "date": [date]}, ttl, NOW)
    if found.storable and status < 400 and ttl.maximum > 0:
        assert ttl.minimum <= found.seconds <= ttl.maximum


@given(st.dictionaries(st.sampled_from(["age", "date"]), st.lists(texts, min_size=1, max_size=2)), st.floats(0, 60))
def test_an_age_is_never_less_than_the_time_on_the_way(headers: dict[str, list[str]], took: float) -> None:
    assert initial_age(headers, NOW, NOW + took) >= NOW + took - NOW


@given(st.integers(0, 2**32))
def test_dates_survive_a_round_trip(moment: int) -> None:
    assert http_date(date_text(moment)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("sun, 06 nov 1994 08:49:37 gmt", 784111777.0),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 +0100", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("Sun 06 Nov 1994 08:49:37 GMT", None),
        ("Sun,  06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06-Nov-1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08.49.37 GMT", None),
        ("Sun, 06 Nov 1994 8:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("", None),
        ("0", None),
    ],
)
def test_dates_are_of_the_three_forms_or_none(text: str, moment: float | None) -> None:
    assert http_date(text) == moment


@given(st.floats(0, 4_000_000_000))
def test_a_date_that_we_write_is_read_back(moment: float) -> None:
    assert http_date(date_text(moment)) == int(moment)


def test_several_expires_are_none() -> None:
    assert lifetime(200, {"expires": [at(60), at(60)], "etag": ["1"]}, ZERO, NOW).seconds == 0


@pytest.mark.parametrize("value", ["*", "a, *", "*, a", ",*"])
def test_what_varies_on_everything_is_never_kept(value: str) -> None:
    for status in (200, 404):
        assert of("max-age=60", status, vary=value) == "vary: *"


@pytest.mark.parametrize(
    ("targeted", "seconds"),
    [
        ("max-age=30", 30),
        ("max-age=30, public;x=1", 30),
        ("s-maxage=20, max-age=30", 20),
        ("no-store", "no-store"),
        ("private", "private"),
        ("max-age=30, no-store=?0", 30),
        ('max-age="30"', 60),  # of another type: as if it were not there, and then nothing is
        ("max-age=30, &&", 60),  # cannot be read: passed over as a whole
        ("max-age=30,", 60),
        ("", 60),
    ],
)
def test_cdn_cache_control_goes_first_when_it_can_be_read(targeted: str, seconds: float | str) -> None:
    assert of("max-age=60", cdn_cache_control=targeted) == seconds


def test_must_understand_goes_before_no_store() -> None:
    assert of("max-age=50, must-understand", status=599) == "status 599 is not kept"
    assert of("max-age=50", status=304) == "status 304 is not kept"
    assert of("no-store, must-understand, max-age=50") == 50
    assert of("no-store, must-understand, private, max-age=50") == "private"
    assert of("no-store, max-age=50") == "no-store"


@pytest.mark.parametrize(
    ("headers", "shared"),
    [
        ({}, False),
        ({"cache-control": ["max-age=60"]}, False),
        ({"cache-control": ["public"]}, True),
        ({"cache-control": ["max-age=60, must-revalidate"]}, True),
        ({"cache-control": ["s-maxage=60"]}, True),
        ({"cache-control": ["public"], "cdn-cache-control": ["max-age=60"]}, False),
    ],
)
def test_what_may_be_shared_of_an_answer_to_authorization(headers: dict[str, list[str]], shared: bool) -> None:
    assert shareable(headers) is shared
