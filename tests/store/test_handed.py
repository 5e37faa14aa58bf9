"""What opens a stretch of a sealed content, as text."""

from __future__ import annotations

import base64
import os

import pytest

from littoral.protocols.frames import MOST
from littoral.store.frames import FRAME, SEALED, CannotOpen, Sealer
from littoral.store.handed import Handed

KEY, NAME = os.urandom(32), os.urandom(16).hex()
CONTENT = os.urandom(5 * FRAME + 77)


def sealed() -> bytes:
    sealer = Sealer(KEY, NAME)
    return sealer.update(CONTENT) + sealer.finish()


@pytest.mark.parametrize(
    ("offset", "length"), [(0, len(CONTENT)), (FRAME, 2 * FRAME), (5 * FRAME, 77), (3, 5), (FRAME - 1, FRAME + 2)]
)
def test_whoever_has_the_text_opens_the_stretch(offset: int, length: int) -> None:
    handed = Handed.read(Handed(KEY, NAME, len(CONTENT), offset, length).text)
    begin = offset // FRAME * SEALED
    frames = memoryview(sealed())[begin : begin + handed.sealed]
    room = memoryview(bytearray(length))
    assert handed.opener().open_into(frames, room) == length
    assert room == CONTENT[offset : offset + length]
    changed = bytearray(frames)
    changed[len(changed) // 2] ^= 1
    with pytest.raises(CannotOpen):
        handed.opener().open_into(memoryview(changed), room)


def test_what_is_no_such_text_opens_nothing() -> None:
    good = Handed(KEY, NAME, 100, 50, 50).text
    beyond = Handed(KEY, NAME, 100, 51, 50).text
    large = Handed(KEY, NAME, MOST + 1, MOST, 1).text
    nothing = Handed(KEY, NAME, 100, 50, 0).text
    for text in ("", "?", good[:-4], base64.b64encode(bytes(71)).decode(), beyond, large, nothing):
        with pytest.raises(CannotOpen):
            Handed.read(text)
    assert Handed.read(good).size == 100
