"""bench/object_crashes.py in short: the place is killed a few times; the ledgers find nothing, and they can find."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import object_crashes as crashes

from littoral.drills.ledger import Plain, Upload, Versions


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_is_as_the_clients_were_told(tmp_path: Path) -> None:
    assert crashes.loop(tmp_path, 4, 7) == []


def test_a_key_is_what_was_settled_or_what_was_begun() -> None:
    held = Plain()
    held.begin("a")
    held.settle()
    held.begin("b")
    assert held.check("b") == []
    assert held.check("a") == ["a is there in the place of b"]
    held.begin(None)
    held.settle()
    assert held.check("a") != []


def test_versions_are_neither_lost_nor_back_nor_mixed_up() -> None:
    held = Versions({"1": "a", "2": "b", "3": None})
    held.begin_removal("2")
    held.begin("c")
    assert held.check({"1": "a", "3": None, "4": "c"}, "4") == []
    assert held.check({"1": "a", "2": "b", "3": None, "4": "c"}, "4") == [
        "version 2 (b) is there and nobody wrote it, or it is back",
        "version 4 is said to be the newest",
    ]
    held = Versions({"1": "a", "2": "b"})
    assert held.check({"1": "b"}, "1") == ["version 2 is lost", "version 1 is b, not a"]


def test_an_upload_keeps_its_parts_until_its_end() -> None:
    upload = Upload("key", "name", {1: "x", 2: "y"})
    assert upload.check({1: "x", 2: "y", 3: "z"}) == []
    assert upload.check({1: "x", 2: "other"}) == ["part 2 of name is lost"]
    assert upload.check(None) == ["the upload of name is gone"]
    upload.ending = True
    assert upload.check(None) == []
