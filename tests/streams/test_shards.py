"""Shards without IO: hash ranges without a gap, sequence numbers that increase, iterators that survive the wire."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from littoral.streams.shards import (
    HASHES,
    Iterator,
    hash_of,
    hash_range,
    iterator_from,
    sequence_number,
    sequence_of,
    shard_of,
)

COUNTS = st.integers(1, 500)


@given(COUNTS)
def test_the_ranges_of_a_stream_meet_without_gap_or_overlap(count: int) -> None:
    ranges = [hash_range(index, count) for index in range(count)]
    assert ranges[0][0] == 0 and ranges[-1][1] == HASHES - 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))


@given(st.integers(0, HASHES - 1), COUNTS)
def test_a_hash_key_is_in_the_range_of_its_shard(hash_key: int, count: int) -> None:
    first, last = hash_range(shard_of(hash_key, count), count)
    assert first <= hash_key <= last


@given(COUNTS, st.data())
def test_the_ends_of_a_range_are_in_it(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    assert [shard_of(end, count) for end in hash_range(index, count)] == [index, index]


def test_a_partition_key_is_hashed_by_md5() -> None:
    assert hash_of("a") == 0x0CC175B9C0F1B6A831C399E269772661


@given(st.integers(1, 2**62), st.integers(1, 2**62), st.integers(0, 499))
def test_sequence_numbers_increase_and_come_back(one: int, other: int, shard: int) -> None:
    created = 1_795_000_000.25
    numbers = [sequence_number(created, each, shard) for each in (one, other)]
    assert [sequence_of(number, created, shard) for number in numbers] == [one, other]
    assert (int(numbers[0]) < int(numbers[1])) == (one < other) == (numbers[0] < numbers[1])
    assert sequence_of(numbers[0], created, shard + 1) is None
    assert sequence_of(numbers[0], created + 1, shard) is None


@given(st.text(max_size=60))
def test_what_is_no_iterator_is_known(text: str) -> None:
    assert iterator_from(text) is None


def test_an_iterator_survives_the_wire() -> None:
    made = Iterator("s", "uid", 3, 7, 1.5)
    assert iterator_from(made.text()) == made
    assert iterator_from(Iterator("s", "uid", 3, -1, 1.5).text()) is None
