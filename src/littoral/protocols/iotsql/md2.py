"""MD2 (RFC 1319), for no library that Python brings has it any more. AWS's SQL has; nothing else should."""

from __future__ import annotations

from typing import Final

BLOCK: Final = 16
ROUNDS: Final = 18
# s. 3.2: a permutation of all bytes, made of the digits of pi
_S: Final = bytes.fromhex(
    "292e43c9a2d87c013d3654a1ecf0061362a705f3c0c7738c98932bd9bc4c82ca1e9b573cfdd4e01667426f188a17e512"
    "be4ec4d6da9ede49a0fbf58ebb2fee7aa968799115b2073f94c210890b225f21807f5d9a5a903227353ecce7bff79703"
    "ff1930b348a5b5d1d75e922aac56aac64fb838d296a47db676fc6be29c7404f1459d705964718720865bcf65e62da802"
    "1b6025adaeb0b9f61c46616934407e0f5547a323dd51af3ac35cf9cebac5ea262c530d6e85288409d3dfcdf441814d52"
    "6adc37c86cc1abfa24e17b080cbdb14a7888958be363e86de9cbd5fe3b001d39f2efb70e6658d0e4a67772f8eb754b0a"
    "314450b48fed1f1adb998d339f118314"
)


def hexdigest(data: bytes) -> str:
    short = BLOCK - len(data) % BLOCK
    padded = data + bytes([short]) * short
    state = bytearray(3 * BLOCK)
    for block in _blocks(padded + _checksum(padded)):
        state[BLOCK:] = block + bytes(a ^ b for a, b in zip(state[:BLOCK], block, strict=True))
        last = 0
        for number in range(ROUNDS):
            for at in range(3 * BLOCK):
                state[at] ^= _S[last]
                last = state[at]
            last = (last + number) % 256
    return state[:BLOCK].hex()


def _checksum(padded: bytes) -> bytes:
    """s. 3.2, with its erratum: XOR, not assignment."""
    found, last = bytearray(BLOCK), 0
    for block in _blocks(padded):
        for at in range(BLOCK):
            found[at] ^= _S[block[at] ^ last]
            last = found[at]
    return bytes(found)


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
