"""Wide records: whatever the pieces, the content is the same; whatever is done to a record, it is refused."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as some

from littoral.protocols import widerecords
from littoral.protocols.widerecords import (
    AROUND,
    NARROW,
    RECORD,
    BadRecord,
    Incoming,
    Opener,
    Sealer,
    Secret,
    Worn,
    sealed_size,
    secrets,
)

CLIENT, SERVER = secrets(b"c" * 32, b"s" * 32)
sizes = some.lists(
    some.one_of(some.integers(1, 300), some.integers(RECORD - 2, RECORD + 2), some.just(3 * RECORD)), max_size=5
)
QUICKLY = settings(deadline=None, max_examples=60)


def sealed(sealer: Sealer, data: bytes) -> bytes:
    room = memoryview(bytearray(sealed_size(len(data), sealer.width)))
    taken, made = sealer.seal_into(memoryview(data), room)
    assert (taken, made) == (len(data), len(room))
    return bytes(room)


def records(secret: Secret, *contents: bytes, width: int = RECORD) -> list[bytes]:
    sealer = Sealer(secret, width)
    return [*(sealed(sealer, each) for each in contents), sealer.end()]


def delivered(incoming: Incoming, wire: bytes, rng: random.Random, rooms: tuple[int, int]) -> bytes:
    """What a reader gets, with rooms and pieces of chance, as ``net.wide`` reads."""
    got, left = bytearray(), memoryview(wire)
    memory = memoryview(bytearray(sealed_size(rng.choice((1, 1000, RECORD, 4 * RECORD)))))
    while left or incoming.kept:
        room = memoryview(bytearray(rng.randint(*rooms)))
        if incoming.kept:
            got += room[: incoming.take(room)]
            continue
        buffers = incoming.buffers(room, memory)
        assert all(buffers)
        count = min(len(left), sum(map(len, buffers)), rng.choice((1, 5, 700, 40_000, 1_000_000)))
        piece, left = left[:count], left[count:]
        for buffer in buffers:
            part, piece = piece[: len(buffer)], piece[len(buffer) :]
            buffer[: len(part)] = part
        got += room[: incoming.received(count, room, memory)]
    return bytes(got)


@QUICKLY
@given(
    sizes,
    some.randoms(use_true_random=False),
    some.sampled_from([(1, 3), (1, 70_000), (RECORD, 1_000_000)]),
    some.sampled_from([100, NARROW, RECORD]),
)
def test_whatever_the_pieces_the_content_is_the_same(
    lengths: list[int], rng: random.Random, rooms: tuple[int, int], width: int
) -> None:
    if rooms == (1, 3) or width == 100:
        lengths = [min(length, 300) for length in lengths]
    contents = [rng.randbytes(length) for length in lengths]
    incoming = Incoming(Opener(CLIENT))
    assert delivered(incoming, b"".join(records(CLIENT, *contents, width=width)), rng, rooms) == b"".join(contents)
    assert incoming.ended


@QUICKLY
@given(some.lists(some.binary(min_size=1, max_size=40), min_size=2, max_size=5), some.data())
def test_whatever_is_done_to_a_record_is_refused(contents: list[bytes], data: some.DataObject) -> None:
    made = records(CLIENT, *contents)
    at = data.draw(some.integers(0, len(made) - 1), "record")
    other = data.draw(some.integers(0, len(made) - 1).filter(lambda number: number != at), "other")
    bit = data.draw(some.integers(0, len(made[at]) * 8 - 1), "bit")
    flipped = bytearray(made[at])
    flipped[bit // 8] ^= 1 << bit % 8
    swapped = made.copy()
    swapped[at], swapped[other] = made[other], made[at]
    shorter = data.draw(some.integers(1, len(made[at]) - 1), "shorter")
    for spoiled in (
        [*made[:at], bytes(flipped), *made[at + 1 :]],
        swapped,
        [*made[: at + 1], *made[at:]],  # doubled
        [*made[:at], *made[at + 1 :]],  # left out; without an end nothing tells of it before the connection does
        [*made[:at], made[at][:-shorter], *made[at + 1 :]],
        [*made, made[at]],
        [*made, b"\0"],
        records(SERVER, *contents),  # of the other direction
        [b"\x17\x03\x03\x00\x20" + bytes(32)],  # of TLS
    ):
        incoming = Incoming(Opener(CLIENT))
        try:
            got = delivered(incoming, b"".join(spoiled), data.draw(some.randoms(use_true_random=False)), (1, 1000))
        except BadRecord:
            continue
        assert not incoming.ended
        assert b"".join(contents).startswith(got)


def test_of_a_record_that_is_refused_nothing_lies_in_the_room() -> None:
    record = bytearray(records(CLIENT, b"secret" * 100)[0])
    record[-1] ^= 1
    room = memoryview(bytearray(b"x" * 600))
    with pytest.raises(BadRecord):
        Opener(CLIENT).open_into(memoryview(record), room)
    assert bytes(room) == bytes(600)


def test_nothing_follows_the_end_even_from_who_has_the_key() -> None:
    sealer, opener = Sealer(CLIENT), Opener(CLIENT)
    assert opener.open_into(memoryview(sealer.end()), memoryview(bytearray())) == 0
    with pytest.raises(BadRecord):
        opener.length(memoryview(sealed(sealer, b"more")))


@pytest.mark.parametrize(
    "head", [b"\1\0\0\x10", b"\1\4\0\x11", b"\2\0\0\x11", b"\2\0\0\x0f", b"\0\0\0\x20", b"\3\0\0\x20", b"GET "]
)
def test_what_is_no_record_is_refused_by_its_head(head: bytes) -> None:
    with pytest.raises(BadRecord):
        Opener(CLIENT).length(memoryview(head))


def test_a_record_is_what_is_written_down() -> None:
    """Made by hand, from the description at the head of the module."""
    made = HKDF(SHA256(), 88, salt=None, info=b"littoral-wide/1").derive(b"c" * 32 + b"s" * 32)
    for secret, own in ((CLIENT, made[:44]), (SERVER, made[44:])):
        for number, found in enumerate(records(secret, b"one", b"two")):
            head = found[:4]
            nonce = bytes(a ^ b for a, b in zip(own[32:], number.to_bytes(12), strict=True))
            assert AESGCM(own[:32]).decrypt(nonce, found[4:], head) == (b"one", b"two", b"")[number]
            assert head == bytes([1 if number < 2 else 2, 0, 0, len(found) - 4])


def test_either_sides_contribution_changes_every_key() -> None:
    made = [secrets(b"c" * 32, b"s" * 32), secrets(b"d" * 32, b"s" * 32), secrets(b"c" * 32, b"t" * 32)]
    known = [value for pair in made for secret in pair for value in (secret.key, secret.iv)]
    assert len(set(known)) == len(known) == 12


def test_a_key_seals_and_opens_so_many_and_then_says_that_it_is_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widerecords, "MOST", 4)
    sealer, opener = Sealer(CLIENT), Opener(CLIENT)
    room = memoryview(bytearray(100))
    for number in range(4):
        assert sealer.worn is (number >= 2)
        assert opener.open_into(memoryview(sealed(sealer, b"a")), room) == 1
    with pytest.raises(Worn):
        sealed(sealer, b"a")
    with pytest.raises(BadRecord):
        opener.length(memoryview(b"\1\0\0\x11"))
    end = memoryview(sealer.end())
    assert opener.length(end) == AROUND == len(end)
    assert opener.open_into(end, room) == 0
    assert opener.ended
