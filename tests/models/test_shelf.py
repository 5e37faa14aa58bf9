"""What is in memory stays within its bounds, whatever is asked for; and which requests run together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.models.registry.onnxfile import Tensor
from littoral.models.runtime.grouping import counts_rows, grouped
from littoral.models.serving.shelf import Full, Shelf

ROOM = 100


@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(1, 120), st.sets(st.sampled_from("abcdefg")))),
    st.integers(0, 4),
)
def test_it_holds_what_fits(asked: list[tuple[str, int, set[str]]], most: int) -> None:
    shelf = Shelf(ROOM, most)
    held: dict[str, int] = {}
    order: list[str] = []
    for key, size, busy in asked:
        before = dict(held)
        try:
            leaving = shelf.admit(key, size, busy.__contains__)
        except Full:
            pinned = [taken for each, taken in held.items() if each in busy and each != key]
            assert size > ROOM or sum(pinned) + size > ROOM or len(pinned) == most > 0
            assert all((each in shelf) == (each in before) for each in "abcdefg")
            continue
        assert key not in leaving and not set(leaving) & busy
        assert leaving == [each for each in order if each in leaving]  # the longest ago first
        for each in leaving:
            del held[each]
        held[key] = size
        order = [each for each in order if each in held and each != key] + [key]
        assert shelf.taken == sum(held.values()) <= ROOM
        assert len(held) <= (most or 7)


def test_growing_makes_room_or_is_counted() -> None:
    shelf = Shelf(ROOM)
    shelf.admit("a", 40, lambda _: False)
    shelf.admit("b", 40, lambda _: False)
    shelf.used("a")
    assert shelf.grown("a", 70, lambda _: False) == ["b"]
    shelf.admit("c", 30, lambda _: False)
    assert shelf.grown("c", 60, lambda _: True) == [] and shelf.taken == 130
    with pytest.raises(Full):
        shelf.admit("d", 1, lambda _: True)


@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(1, 12))), st.integers(1, 10))
def test_runs_are_of_one_kind_and_within_the_rows(asked: list[tuple[str, int]], most: int) -> None:
    runs = grouped([kind for kind, _ in asked], [rows for _, rows in asked], most)
    assert sorted(number for run in runs for number in run) == list(range(len(asked)))
    for run in runs:
        assert run == sorted(run) and len({asked[number][0] for number in run}) == 1
        assert len(run) == 1 or sum(asked[number][1] for number in run) <= most
    assert [run[0] for run in runs] == sorted(run[0] for run in runs)


@pytest.mark.parametrize(
    ("shapes", "together"),
    [
        ((("N", 4), ("N", 2)), True),
        ((("batch_size", 4), ("batch_size", 2)), True),
        ((("T", 4), ("T", 2)), False),  # perhaps a sequence: its rows are not apart
        ((("N", 4), (1, 2)), False),
        ((("N", 4), ("M", 2)), False),
        (((2, 4), (2, 2)), False),
        ((("", 4), ("", 2)), False),
        (((), ("N",)), False),
    ],
)
def test_only_a_batch_is_joined(shapes: tuple[tuple[int | str, ...], ...], together: bool) -> None:
    given_, answered = (Tensor("t", "FP32", shape) for shape in shapes)
    assert counts_rows([given_], [answered]) is together
