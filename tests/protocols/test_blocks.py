from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.blocks import LARGEST, SMALLEST, Block, Cutter, Held, Manifest


def cut(data: bytes, *at: int) -> list[Block]:
    """Fed in the pieces between these places."""
    cutter, found, before = Cutter(), [], 0
    for place in [*sorted(at), len(data)]:
        found += cutter.feed(data[before:place])
        before = place
    return [*found, *cutter.end()]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


SIZE = 300_000


@settings(max_examples=30)
@given(st.integers(0, 5), st.lists(st.integers(0, SIZE), max_size=5))
def test_blocks_are_the_file_whatever_pieces_it_comes_in(seed: int, at: list[int]) -> None:
    data = noise(seed, SIZE) if seed else bytes(SIZE)
    found = cut(data, *at)
    assert found == cut(data)
    assert sum(each.length for each in found) == SIZE
    assert all(SMALLEST <= each.length <= LARGEST for each in found[:-1])


@settings(max_examples=30)
@given(st.integers(0, SIZE), st.integers(0, 2000), st.binary(max_size=2000), st.integers(0, SIZE))
def test_a_file_is_made_of_another_and_what_comes_from_wherever_it_was_left(
    at: int, taken: int, put: bytes, there: int
) -> None:
    old = noise(1, SIZE)
    new = old[:at] + put + old[at + taken :]
    there = min(there, len(new))
    held, place = {}, 0
    for block in cut(old):
        held[block.digest] = Held(0, place)
        place += block.length
    made, came = bytearray(new[:there]), 0
    for step in Manifest(tuple(cut(new))).steps(held, there):
        assert step.start == len(made) and step.length > 0
        if step.held is None:
            came += step.length
            made += new[step.start : step.start + step.length]
        else:
            made += old[step.held.start : step.held.start + step.length]
    assert made == new
    assert came <= SIZE // 2 + len(put)  # most of it was there


def test_a_manifest_comes_back_from_its_document_and_nothing_else_does() -> None:
    manifest = Manifest(tuple(cut(noise(2, SIZE))))
    assert Manifest.of(manifest.document) == manifest
    wrong: list[Any] = [
        None,
        [],
        {},
        {"blocks": 7},
        {"blocks": [7]},
        {"blocks": [[1]]},
        {"blocks": [[0, "a"]]},
        {"blocks": [[-1, "a"]]},
        {"blocks": [[1.5, "a"]]},
        {"blocks": [[1, 2]]},
        {"blocks": [[2**40, "a"]]},
    ]
    for each in wrong:
        with pytest.raises(ValueError, match="list of blocks"):
            Manifest.of(each)
