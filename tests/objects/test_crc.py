"""The CRCs against published check values, against the table alone, and joined."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.objects.crc import CRC32, CRC32C, CRC64NVME, Crc


def test_published_check_values() -> None:
    """Of "123456789", from the catalogue of parametrised CRC algorithms."""
    assert CRC32.update(b"123456789") == 0xCBF43926
    assert CRC32C.update(b"123456789") == 0xE3069283
    assert CRC64NVME.update(b"123456789") == 0xAE8B14860A799888


@pytest.mark.parametrize("crc", [CRC32, CRC32C, CRC64NVME], ids=["crc32", "crc32c", "crc64nvme"])
def test_every_relation_that_folding_uses_holds(crc: Crc) -> None:
    for distance, exponents in crc._folds:
        rest = 1 << distance
        for exponent in exponents:
            rest ^= 1 << exponent
        while rest.bit_length() > crc.width:
            rest ^= crc.polynomial << (rest.bit_length() - crc.width - 1)
        assert rest == 0, distance


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, 33, 100, 479, 480, 481, 4096, 65535, 65536, 65537, 200_001])
def test_folding_agrees_with_the_table(size: int) -> None:
    data = bytes((n * 131 + n // 251) & 0xFF for n in range(size))
    assert CRC32.update(data) == zlib.crc32(data)
    for crc in (CRC32C, CRC64NVME):
        ones = (1 << crc.width) - 1
        assert crc.update(data) == crc._bytes(data, ones) ^ ones


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_two_crcs_join_and_one_continues(data: bytes, at: int) -> None:
    first, second = data[:at], data[at:]
    for crc in (CRC32, CRC32C, CRC64NVME):
        assert crc.combine(crc.update(first), crc.update(second), len(second)) == crc.update(data)
        assert crc.update(second, crc.update(first)) == crc.update(data)
