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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XXHASH64", "44bc2cf5ad770999"),
        ("XXHASH3", "78af5f94892f3950"),
        ("XXHASH128", "06b05ab6733a618578af5f94892f3950"),
        ("MD5", "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_published_digests(name: str, value: str) -> None:
    """Of "abc", from the tables of xxHash and RFC 1321."""
    digests = Digests(ALGORITHMS[name])
    digests.update(memoryview(bytearray(b"ab")))
    digests.update(b"c")
    assert digests.checksum == digests.checksum == base64.b64encode(bytes.fromhex(value)).decode()


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
