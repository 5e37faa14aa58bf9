"""What a transfer knows of itself, on a disk that is full, damaged or another's."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from littoral.box.transfer.items import Arrived, Item
from littoral.box.transfer.journal import Busy, Journal
from littoral.box.transfer.sums import SHA256, sum_of
from tests.site.test_bad_input_disk import fill, small

__all__ = ["small"]


def arrived(number: int) -> Arrived:
    return Arrived(Item(f"k{number:09}" * 20, number, "s"), sum_of(SHA256, b"x"), "e")


def test_on_a_full_disk_it_says_so_and_goes_on_once_there_is_room(small: Path) -> None:
    journal = Journal.open(small / "j.db")
    journal.add(map(arrived, range(100)))
    filler = fill(small)
    many = [arrived(number) for number in range(50_000)]
    with pytest.raises(OSError, match=r"j\.db: .*full"):
        journal.add(many)
    assert journal.missing(one.item for one in many[:200]) == [one.item for one in many[100:200]]
    filler.unlink()
    journal.add(many)
    assert journal.missing(one.item for one in many) == []
    journal.close()


def test_of_what_cannot_be_noted_nothing_is(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.db")
    bad = Arrived(Item("b", 1, "s"), sum_of(SHA256, b"x"), None)  # type: ignore[arg-type]
    with pytest.raises(apsw.ConstraintError):
        journal.add([arrived(1), bad])
    assert journal.missing([arrived(1).item]) == [arrived(1).item]
    with pytest.raises(Busy):
        Journal.open(tmp_path / "j.db")
    journal.close()


def test_what_is_no_journal_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"no database at all, and longer than a page's head " * 100)
    with pytest.raises(OSError, match=r"j\.db: "):
        Journal.open(tmp_path / "j.db")
