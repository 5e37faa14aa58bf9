"""Versions and npm's ranges. What is expected was asked of npm's own semver, as were 60,000 random
pairs."""

from __future__ import annotations

import itertools

import pytest

from littoral.protocols.semver import BadVersion, lowest, parse, satisfies

VERSIONS = ["0.0.1", "0.2.0", "0.2.9", "0.3.0", "1.0.0", "1.1.9", "1.2.0", "1.2.3", "1.10.0", "2.0.0", "2.0.5", "3.1.0"]


def test_versions_sort_as_semantic_versions() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.0", "1.10.0", "2.0.0"]
    for lower, higher in itertools.combinations(ordered, 2):
        assert parse(lower) < parse(higher)
    assert parse("1.0.0+one") == parse("1.0.0+two")


@pytest.mark.parametrize(
    ("requirement", "taken"),
    [
        ("1.2.3", "1.2.3"),
        ("=1.2.3", "1.2.3"),
        ("==1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        (">=1.0.0 <2.0.0", "1.0.0 1.1.9 1.2.0 1.2.3 1.10.0"),
        (">= 1.0.0, < 1.2.0", "1.0.0 1.1.9"),
        (">=1.0.0<1.2.0", "1.0.0 1.1.9"),
        ("^1.2", "1.2.0 1.2.3 1.10.0"),
        ("^1.2.3", "1.2.3 1.10.0"),
        ("^0.2", "0.2.0 0.2.9"),
        ("^0.2.1", "0.2.9"),
        ("^0.0.1", "0.0.1"),
        ("^0", "0.0.1 0.2.0 0.2.9 0.3.0"),
        ("~1.2", "1.2.0 1.2.3"),
        ("~1.2.1", "1.2.3"),
        ("~1", "1.0.0 1.1.9 1.2.0 1.2.3 1.10.0"),
        ("1.x", "1.0.0 1.1.9 1.2.0 1.2.3 1.10.0"),
        ("1.2.*", "1.2.0 1.2.3"),
        ("2", "2.0.0 2.0.5"),
        ("*", " ".join(VERSIONS)),
        ("", " ".join(VERSIONS)),
        (">1.2", "1.10.0 2.0.0 2.0.5 3.1.0"),
        ("<=1.2", "0.0.1 0.2.0 0.2.9 0.3.0 1.0.0 1.1.9 1.2.0 1.2.3"),
        (">=2", "2.0.0 2.0.5 3.1.0"),
        ("<1", "0.0.1 0.2.0 0.2.9 0.3.0"),
        ("1.2 - 2.0", "1.2.0 1.2.3 1.10.0 2.0.0 2.0.5"),
        ("1.2.1 - 2.0.0", "1.2.3 1.10.0 2.0.0"),
        ("0.2.x || 3.x", "0.2.0 0.2.9 3.1.0"),
        (">*", ""),
        (">2.0.0 <1.0.0", ""),
    ],
)
def test_ranges_take_what_npm_takes(requirement: str, taken: str) -> None:
    assert [each for each in VERSIONS if satisfies(each, requirement)] == taken.split()


def test_a_prerelease_is_taken_only_where_one_of_its_kind_is_named() -> None:
    assert satisfies("1.2.3-beta.2", ">=1.2.3-beta.1 <2.0.0")
    assert satisfies("1.2.3-beta.2", "^1.2.3-beta.1")
    for requirement in (">=1.0.0 <2.0.0", "^1.2", "1.x", "*", ">=1.2.2-beta.1", "<2.0.0"):
        assert not satisfies("1.2.3-beta.2", requirement), requirement
    assert not satisfies("2.0.0-alpha", "^1.2")


@pytest.mark.parametrize(
    "wrong", ["one", ">=", "1.2.3.4", "1.2.3 or 2", "x.1", "1.x-beta", "^^1", "01.2.3", "1.2.3-", "x" * 2000]
)
def test_what_is_no_range_is_refused(wrong: str) -> None:
    with pytest.raises(BadVersion):
        satisfies("1.0.0", wrong)


@pytest.mark.parametrize("wrong", ["1", "1.2", "1.2.3.4", "01.2.3", "a.b.c", ""])
def test_what_is_no_version_is_refused(wrong: str) -> None:
    with pytest.raises(BadVersion):
        parse(wrong)


def test_the_lowest_version_that_satisfies_all() -> None:
    assert lowest([">0.0.0", "^2.9.0 || ^1.0.0", ">=2.10.0"]) == "2.10.0"
    assert (lowest(["<1.0.0", ">1.0.0"]), lowest([">1.2.3"]), lowest([])) == (None, "1.2.4", "0.0.0")
    assert [lowest([each]) for each in ("^1.2", ">=2.0.0 <2.1.0", "*", "1.x || 0.5.0")] == [
        "1.2.0",
        "2.0.0",
        "0.0.0",
        "0.5.0",
    ]
