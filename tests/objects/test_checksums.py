"""The CRCs against published check values, continued and joined."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.objects.checksums import ALGORITHMS, CRC32, CRC32C, CRC64NVME, Crc, Digests, joined

CRCS = [pytest.param(CRC32, id="crc32"), pytest.param(CRC32C, id="crc32c"), pytest.param(CRC64NVME, id="crc64nvme")]


def test_published_check_values() -> None:
    """Of "123456789", from the catalogue of parametrised CRC algorithms."""
    assert CRC32.update(b"123456789", 0) == 0xCBF43926
    assert CRC32C.update(b"123456789", 0) == 0xE3069283
    assert CRC64NVME.update(b"123456789", 0) == 0xAE8B14860A799888


@pytest.mark.parametrize("crc", CRCS)
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=3000), at=st.integers(0, 3000))
def test_two_crcs_join_and_one_continues(crc: Crc, data: bytes, at: int) -> None:
    first, second = data[:at], bytearray(data[at:])
    whole = crc.update(data, 0)
    assert crc.update(memoryview(second), crc.update(first, 0)) == whole
    assert crc.join(crc.update(first, 0), crc.update(second, 0), len(second)) == whole


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_checksums_of_parts_make_that_of_the_whole(name: str) -> None:
    def of(*pieces: bytes) -> str:
        digests = Digests(ALGORITHMS[name])
        for piece in pieces:
            digests.update(piece)
        assert digests.checksum is not None
        return digests.checksum

    parts = [b"one" * 70_000, b"", b"three"]
    whole = joined(ALGORITHMS[name], "FULL_OBJECT", [(of(part), len(part)) for part in parts])
    assert whole.value == of(*parts) == of(b"".join(parts))
    assert len(base64.b64decode(whole.value)) == (8 if name == "CRC64NVME" else 4)
