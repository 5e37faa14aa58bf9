"""Wide records: whatever the pieces, the content is the same; whatever is done to a record, it is refused."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as some

from littoral.protocols import frames, widerecords
from littoral.protocols.frames import FRAME, SEALED
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
from littoral.store import frames as stored

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
    while left or incoming.ready:
        room = memoryview(bytearray(rng.randint(*rooms)))
        if incoming.ready:
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


BODIES = some.sampled_from([1, 300, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 5 * FRAME + 77])


def framed(sealer: Sealer, head: bytes, content: bytes) -> bytes:
    """As ``net.wide`` sends it, in stretches of some frames."""
    records, body = sealer.body(head, len(content))
    wire, view = bytearray(records), memoryview(content)
    for at in range(0, len(content), 2 * FRAME):
        room = memoryview(bytearray(2 * SEALED))
        wire += room[: body.seal_into(view[at : at + 2 * FRAME], room)]
    return bytes(wire)


@QUICKLY
@given(
    some.lists(some.tuples(some.integers(1, 400), BODIES | some.none()), max_size=4),
    some.integers(0),
    some.sampled_from([(1, 70_000), (FRAME, 1_000_000)]),
)
def test_bodies_in_frames_come_between_records_like_anything_else(
    parts: list[tuple[int, int | None]], seed: int, rooms: tuple[int, int]
) -> None:
    rng = random.Random(seed)
    sealer, wire, said = Sealer(CLIENT), bytearray(), bytearray()
    for head, body in parts:
        first, content = rng.randbytes(head), rng.randbytes(body or 0)
        wire += framed(sealer, first, content) if body else sealed(sealer, first)
        said += first + content
    incoming = Incoming(Opener(CLIENT))
    assert delivered(incoming, bytes(wire) + sealer.end(), rng, rooms) == said
    assert incoming.ended


@QUICKLY
@given(BODIES, some.integers(0, 6 * SEALED), some.integers(0), some.integers(0, 2**20))
def test_a_body_may_be_taken_sealed_and_left_at_any_byte(size: int, wanted: int, seed: int, together: int) -> None:
    """What was taken opens as a disk keeps it; whoever leaves before the end gets the rest opened."""
    rng = random.Random(seed)
    content, sealer = rng.randbytes(size), Sealer(CLIENT)
    left = memoryview(framed(sealer, b"head", content) + sealed(sealer, b"next") + sealer.end())
    incoming, room, memory = Incoming(Opener(CLIENT)), memoryview(bytearray(4)), memoryview(bytearray(2**20))
    while incoming.body is None:
        count = min(len(left), len(incoming.buffers(memory, memory)[0]), max(1, together))
        buffer = incoming.buffers(memory, memory)[0]
        buffer[:count], left = left[:count], left[count:]
        incoming.received(count, room, memory)
    body = incoming.body
    assert (bytes(room), body.size) == (b"head", size)
    wanted, taken = min(wanted, frames.sealed_size(size)), bytearray()
    while len(taken) < wanted:
        place = memoryview(bytearray(wanted - len(taken)))
        had, more = incoming.take_sealed(place)
        came = min(more, rng.randint(1, 100_000))
        place[had : had + came], left = left[:came], left[came:]
        incoming.came_sealed(came)
        taken += place[: had + came]
    whole = len(taken) if len(taken) == frames.sealed_size(size) else len(taken) // SEALED * SEALED
    opened = memoryview(bytearray(size))
    count = body.open_into(memoryview(taken)[:whole], opened) if whole else 0
    at_rest = stored.Opener(body.key, body.name, size, 0, count)
    assert at_rest.update(bytes(taken[:whole])) + (at_rest.finish() if count else b"") == bytes(opened[:count])
    incoming.put_back(taken[whole:])
    assert bytes(opened[:count]) + delivered(incoming, bytes(left), rng, (1, 300_000)) == content + b"next"
    assert incoming.ended


@QUICKLY
@given(some.sampled_from([100, FRAME, 3 * FRAME + 5]), some.integers(0), some.integers(0, 7), some.integers(0))
def test_whatever_is_done_to_frames_is_refused(size: int, place: int, bit: int, seed: int) -> None:
    rng = random.Random(seed)
    content, sealer = rng.randbytes(size), Sealer(CLIENT)
    wire = framed(sealer, b"head", content)
    again = framed(sealer, b"head", content)
    begin = len(wire) - frames.sealed_size(size)
    at = begin + place % (len(wire) - begin)
    flipped = bytearray(wire)
    flipped[at] ^= 1 << bit
    spoiled = [
        bytes(flipped),
        wire[:begin] + again[begin:],  # of another body
        wire[:at] + wire[at + 1 :] + sealer.end(),
        wire[:at] + b"x" + wire[at:],
    ]
    if size > 2 * FRAME:
        first, second = (wire[begin + each * SEALED : begin + each * SEALED + SEALED] for each in (0, 1))
        spoiled += [
            wire[:begin] + second + first + wire[begin + 2 * SEALED :],
            wire[:begin] + first + first + wire[begin + 2 * SEALED :],
            wire[:begin] + first + wire[begin + 2 * SEALED :] + sealer.end(),
        ]
    for each in spoiled:
        incoming = Incoming(Opener(CLIENT))
        got = b""
        with pytest.raises(BadRecord):
            got = delivered(incoming, each + sealed(Sealer(SERVER), b"more" * 10), rng, (FRAME, 300_000))
        assert not incoming.ended
        assert (b"head" + content).startswith(got)


@pytest.mark.parametrize("size", [0, frames.MOST + 1, 2**64 - 1])
def test_no_body_has_no_bytes_or_more_than_its_frames_have_numbers(size: int) -> None:
    record = memoryview(Sealer(CLIENT).body(b"head", size)[0])
    opener = Opener(CLIENT)
    with pytest.raises(BadRecord):
        opener.open_into(record[: opener.length(record)], memoryview(bytearray()))


def test_a_body_that_was_announced_begins_with_a_head() -> None:
    sealer = Sealer(CLIENT)
    announced = memoryview(sealer.body(b"head", 5)[0])[: 8 + AROUND]
    for follows in (sealer.end(), sealer.body(b"head", 5)[0]):
        opener = Opener(CLIENT)
        opener.open_into(announced, memoryview(bytearray()))
        with pytest.raises(BadRecord):
            opener.length(memoryview(follows))


def test_frames_are_what_is_written_down() -> None:
    """Made by hand, from the descriptions at the heads of the modules."""
    bodies = HKDF(SHA256(), 152, salt=None, info=b"littoral-wide/2").derive(b"c" * 32 + b"s" * 32)[44:76]
    sealer, content = Sealer(CLIENT), bytes(range(256)) * 257
    for number in range(2):
        wire = framed(sealer, b"head", content)
        made = HKDFExpand(SHA256(), 48, f"littoral-wide/2 body {number}".encode()).derive(bodies)
        key, name, sent = made[:32], made[32:], wire[-frames.sealed_size(len(content)) :]
        found = b""
        for at, last in ((0, 0), (1, 1)):
            about = name + at.to_bytes(4) + bytes([last])
            found += AESGCM(key).decrypt(name[:8] + at.to_bytes(4), sent[at * SEALED : at * SEALED + SEALED], about)
        assert found == content
        records = wire[: -len(sent)]
        opener, room = Opener(CLIENT), memoryview(bytearray(9))
        assert records[0] == 3 and records[8 + AROUND] == 1
        if number == 0:
            assert opener.open_into(memoryview(records)[: 8 + AROUND], room) == 0
            assert opener.open_into(memoryview(records)[8 + AROUND :], room) == 4
            assert opener.body is not None and (opener.body.key, opener.body.name) == (key, name.hex())


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
    "head",
    [
        b"\1\0\0\x10",
        b"\1\4\0\x11",
        b"\2\0\0\x11",
        b"\2\0\0\x0f",
        b"\0\0\0\x20",
        b"\3\0\0\x17",
        b"\3\0\0\x19",
        b"\4\0\0\x20",
        b"GET ",
    ],
)
def test_what_is_no_record_is_refused_by_its_head(head: bytes) -> None:
    with pytest.raises(BadRecord):
        Opener(CLIENT).length(memoryview(head))


def test_a_record_is_what_is_written_down() -> None:
    """Made by hand, from the description at the head of the module."""
    made = HKDF(SHA256(), 152, salt=None, info=b"littoral-wide/2").derive(b"c" * 32 + b"s" * 32)
    for secret, own in ((CLIENT, made[:76]), (SERVER, made[76:])):
        for number, found in enumerate(records(secret, b"one", b"two")):
            head = found[:4]
            nonce = bytes(a ^ b for a, b in zip(own[32:44], number.to_bytes(12), strict=True))
            assert AESGCM(own[:32]).decrypt(nonce, found[4:], head) == (b"one", b"two", b"")[number]
            assert head == bytes([1 if number < 2 else 2, 0, 0, len(found) - 4])


def test_either_sides_contribution_changes_every_key() -> None:
    made = [secrets(b"c" * 32, b"s" * 32), secrets(b"d" * 32, b"s" * 32), secrets(b"c" * 32, b"t" * 32)]
    known = [value for pair in made for each in pair for value in (each.key, each.iv, each.bodies)]
    assert len(set(known)) == len(known) == 18


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
