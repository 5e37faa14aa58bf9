"""Lifecycle rules: what is due by any rule at any time, and a bucket that is swept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.service import ServiceError
from littoral.objects.days import DAY
from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Upload
from littoral.objects.index import Index
from littoral.objects.lifecycle import Held, Rule, changed, checked, due, rules_of
from littoral.objects.sweeping import PAGE, Sweeper
from littoral.objects.transitions import SMALLEST, Transition
from littoral.objects.versions import Removal

Refusal = Callable[..., tuple[str, int]]
ALL = {"Filter": {}, "Status": "Enabled"}


def held(version: str, modified: float, *, marker: bool = False, retired: float | None = None, **more: Any) -> Held:
    kind = more.get("storage_class", "STANDARD")
    return Held(version, modified, more.get("size", 10), more.get("tags", ()), marker, retired, kind)


@given(st.floats(0, 100 * DAY), st.integers(1, 30))
def test_days_end_at_midnight_and_are_whole(modified: float, days: int) -> None:
    rule, one = Rule(days=days), held("null", modified)
    at = next(float(midnight) for midnight in range(0, 200 * DAY, DAY) if midnight >= modified + days * DAY)
    assert rule.expires(one, at)
    assert not rule.expires(one, at - 1)


def test_what_is_current_and_what_is_not_go_by_their_own_times() -> None:
    versions = [
        held("c", 50 * DAY),
        held("b", 20 * DAY, retired=50 * DAY),
        held("a", 10 * DAY, retired=20 * DAY),
    ]
    rules = [Rule(noncurrent_days=5, kept_noncurrent=1)]
    assert [each.version for each in due(rules, "k", versions, 60 * DAY)] == ["a"]
    rules = [Rule(noncurrent_days=5), Rule(days=10)]
    assert [each.version for each in due(rules, "k", versions, 60 * DAY)] == [None, "b", "a"]
    assert [each.version for each in due(rules, "k", versions, 54 * DAY)] == ["a"]
    marker = [held("m", DAY, marker=True)]
    assert [each.version for each in due([Rule(lone_markers=True)], "k", marker, 2 * DAY)] == ["m"]
    assert not list(due([Rule(lone_markers=True)], "k", [*marker, versions[1]], 50 * DAY))
    assert not list(due([Rule(days=1)], "k", marker, 50 * DAY))


def test_classes_are_left_downwards_when_their_days_are_over() -> None:
    steps = (Transition("STANDARD_IA", 30), Transition("GLACIER", 60), Transition("DEEP_ARCHIVE", None, 100 * DAY))
    rules = [Rule(transitions=steps, noncurrent_transitions=(Transition("GLACIER", 5, None, 1),))]

    def current(day: float, **more: Any) -> list[tuple[int, str]]:
        return list(changed(rules, [held("c", DAY / 2, size=SMALLEST, **more)], day * DAY))

    assert current(30.9) == []  # it goes at the midnight after 30 whole days
    assert current(31) == [(0, "STANDARD_IA")]
    assert current(31, storage_class="STANDARD_IA") == current(31, storage_class="GLACIER_IR") == []
    assert current(61, storage_class="STANDARD_IA") == [(0, "GLACIER")]
    assert current(100) == [(0, "DEEP_ARCHIVE")]
    small = [held("c", 0, size=SMALLEST - 1)]
    assert list(changed(rules, small, 100 * DAY)) == []
    assert list(changed([replace(rules[0], larger=0)], small, 100 * DAY)) == [(0, "DEEP_ARCHIVE")]
    versions = [
        held("d", 20 * DAY, marker=True),
        held("c", 15 * DAY, retired=20 * DAY, size=SMALLEST),
        held("b", 10 * DAY, retired=15 * DAY, size=SMALLEST),
        held("a", 5 * DAY, retired=10 * DAY, size=SMALLEST, storage_class="DEEP_ARCHIVE"),
    ]
    assert list(changed(rules, versions, 19 * DAY)) == []
    assert list(changed(rules, versions, 30 * DAY)) == [(2, "GLACIER")]  # one newer stays, the oldest is colder


def test_filters() -> None:
    tagged = held("null", 0, tags=(("a", "1"), ("b", "2")), size=100)
    assert Rule(tags=frozenset({("a", "1")}), larger=99, smaller=101).fits(tagged)
    assert not Rule(tags=frozenset({("a", "2")})).fits(tagged)
    assert not Rule(larger=100).fits(tagged)
    assert not Rule(smaller=100).fits(tagged)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({**ALL}, "InvalidRequest"),
        ({**ALL, "Expiration": {"Days": 0}}, "InvalidArgument"),
        ({**ALL, "Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML"),
        ({**ALL, "Status": "enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Status": "Enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({**ALL, "ID": "x" * 256, "Expiration": {"Days": 1}}, "InvalidArgument"),
        ({**ALL, "Expiration": {"Date": datetime(2026, 1, 1, 1, tzinfo=UTC)}}, "InvalidArgument"),
        ({**ALL, "Transitions": [{"Days": 29, "StorageClass": "STANDARD_IA"}]}, "InvalidArgument"),
        ({**ALL, "Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]}, "InvalidArgument"),
        ({**ALL, "Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({**ALL, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}] * 2}, "InvalidRequest"),
        (
            {**ALL, "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}], "Expiration": {"Days": 9}},
            "InvalidArgument",
        ),
        (
            {
                **ALL,
                "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}],
                "Expiration": {"Date": datetime(2026, 1, 1, tzinfo=UTC)},
            },
            "InvalidRequest",
        ),
        ({**ALL, "NoncurrentVersionTransitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({**ALL, "NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, "InvalidArgument"),
        ({**ALL, "Filter": {"And": {"Prefix": "a"}}, "Expiration": {"Days": 1}}, "MalformedXML"),
    ],
)
def test_bad_rules(rule: dict[str, Any], code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        checked({"Rules": [rule]})
    assert refused.value.code == code


def test_a_configuration_comes_back(s3: Any, bucket: str, refusal: Refusal) -> None:
    assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == ("NoSuchLifecycleConfiguration", 404)
    rules = [
        {
            "ID": "one",
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "Status": "Enabled",
            "Expiration": {"Date": datetime(2027, 1, 1, tzinfo=UTC)},
        },
        {
            "ID": "classes",
            "Filter": {"Prefix": "c/"},
            "Status": "Enabled",
            "Transitions": [
                {"Days": 30, "StorageClass": "STANDARD_IA"},
                {"Days": 60, "StorageClass": "GLACIER"},
            ],
            "NoncurrentVersionTransitions": [
                {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2, "StorageClass": "DEEP_ARCHIVE"}
            ],
        },
        {"ID": "two", "Prefix": "", "Status": "Disabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    twice = {"Rules": [rules[0], rules[0]]}
    refused = refusal(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=twice)
    assert refused == ("InvalidArgument", 400)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == ("NoSuchLifecycleConfiguration", 404)


async def test_a_bucket_is_swept(tmp_path: Path) -> None:
    """More keys than a page has, one key of many versions across its edge, and an upload that nobody completed."""
    index = await Index.open(tmp_path / "objects.db", "us-east-1", "000000000000")
    await index.create_bucket("b", Bucket(0.0))

    async def put(key: str, day: float) -> None:
        origin = Origin("me", "127.0.0.1", "r", day * DAY)
        await index.put("b", key, Content(1, "e", b"1"), Facts(), (), origin, "ObjectCreated:Put")

    for number in range(PAGE - 2):
        await put(f"old/{number:04d}", 1.5)
    await index.set_bucket("b", "versioning", "Enabled")
    for day in range(1, 9):
        await put("old/many", float(day))
    await put("old/young", 100.0)
    await put("other", 1.0)
    await index.create_upload(Upload("u", "b", "old/up", 1.0, Facts()))
    await index.create_upload(Upload("v", "b", "other", 1.0, Facts()))
    rule = {
        "Filter": {"Prefix": "old/"},
        "Status": "Enabled",
        "Expiration": {"Days": 10},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 10, "NewerNoncurrentVersions": 2},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    }
    await index.set_bucket("b", "lifecycle", checked({"Rules": [rule]}))
    now = [100 * DAY]
    sweeper = Sweeper(index, lambda: now[0])
    await sweeper.sweep()
    listed = [row[0] for row in index.page("b", "", "\U0010ffff", 2 * PAGE)]
    assert listed == ["old/young", "other"]
    many = index.versions("b", "old/many", None, "old/many0", 100)
    assert [bool(row[7]) for row in many] == [True, False, False, False]  # a marker, the last, and two that are kept
    assert [row[1] for row in index.uploads("b", "", None, "\U0010ffff", 10)] == ["v"]
    now[0] = 200 * DAY
    await sweeper.sweep()
    many = index.versions("b", "old/many", None, "old/many0", 100)
    assert [bool(row[7]) for row in many] == [True, False, False]  # the last is one of the two now
    await index.close()


async def test_a_sweep_changes_classes(tmp_path: Path) -> None:
    index = await Index.open(tmp_path / "objects.db", "us-east-1", "000000000000")
    await index.create_bucket("b", Bucket(0.0))
    await index.set_bucket("b", "versioning", "Enabled")
    for day, key in ((0, "old"), (5, "old"), (5, "young")):
        content = Content(SMALLEST, f"{day:032x}", b"x")
        await index.put("b", key, content, Facts(), (), Origin("me", "127.0.0.1", "r", day * DAY), "ObjectCreated:Put")
    rule = {
        **ALL,
        "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}],
        "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "DEEP_ARCHIVE"}],
    }
    await index.set_bucket("b", "lifecycle", checked({"Rules": [rule]}))

    async def classes(day: float) -> list[tuple[str, str]]:
        await Sweeper(index, lambda: day * DAY).sweep()
        found = index.versions("b", "", None, "\U0010ffff", 10)
        return [(row[0], Facts.load(row[6]).storage_class) for row in found]

    plain = [("old", "STANDARD"), ("old", "DEEP_ARCHIVE"), ("young", "STANDARD")]
    assert await classes(7) == plain
    assert await classes(14) == [("old", "GLACIER"), ("old", "DEEP_ARCHIVE"), ("young", "GLACIER")]
    await index.close()


async def test_what_has_become_current_again_stays(tmp_path: Path) -> None:
    index = await Index.open(tmp_path / "index.db", "us-east-1", "0" * 12)
    await index.create_bucket("b", Bucket(0.0))
    await index.set_bucket("b", "versioning", "Enabled")
    origin = Origin("me", "127.0.0.1", "ID", 0.0)
    first, second = [
        await index.put("b", "k", Content(1, "etag", b"x", ()), Facts({}, {}), (), origin, "ObjectCreated:Put")
        for _ in range(2)
    ]
    rules = [Rule(noncurrent_days=1)]
    (removals,) = [going for going, _ in Sweeper(index, lambda: 0.0)._due("b", "", rules, 5 * DAY) if going]
    assert [each.version for each in removals] == [first]
    await index.delete("b", [Removal("k", second)], origin)
    await index.delete("b", removals, origin, family="LifecycleExpiration")
    assert index.get("b", "k").version == first
    await index.close()


async def test_what_was_written_again_or_is_locked_stays(tmp_path: Path) -> None:
    index = await Index.open(tmp_path / "objects.db", "us-east-1", "000000000000")
    await index.create_bucket("b", Bucket(0.0))
    origin = Origin("me", "127.0.0.1", "r", 5.0)
    await index.put("b", "k", Content(1, "e", b"1"), Facts(), (), origin, "ObjectCreated:Put")
    (removal,) = due([Rule(days=1)], "k", [held("null", 4.0)], 50 * DAY)
    (outcome,) = await index.delete("b", [removal], origin)
    assert isinstance(outcome, ServiceError)
    assert index.find("b", "k") is not None
    (outcome,) = await index.delete("b", [Removal("k")], origin)
    assert not isinstance(outcome, Exception)
    assert rules_of(checked({"Rules": [{**ALL, "Status": "Disabled", "Expiration": {"Days": 1}}]})) == ()
    await index.close()


def test_answers_tell_when_an_object_expires(s3: Any, bucket: str) -> None:
    rules = [{"ID": "three days", "Status": "Enabled", "Filter": {"Prefix": "day/"}, "Expiration": {"Days": 3}}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    put = s3.put_object(Bucket=bucket, Key="day/1", Body=b"x")
    assert put["Expiration"].endswith('00:00:00 GMT", rule-id="three%20days"')
    assert s3.head_object(Bucket=bucket, Key="day/1")["Expiration"] == put["Expiration"]
    assert s3.copy_object(Bucket=bucket, Key="day/2", CopySource=f"{bucket}/day/1")["Expiration"] == put["Expiration"]
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="other")
