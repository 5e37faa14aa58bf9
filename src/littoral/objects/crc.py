"""CRCs that the standard library lacks (CRC-32C and CRC-64/NVME), and the joining of two. Pure.

Theory. A message is a polynomial M over GF(2); its CRC is M·x^width mod P. Python's big integers shift and XOR some
gigabytes a second, so long messages are *folded*: the first h bits, H·x^k, are replaced by H·Σx^e, where P divides
x^k + Σx^e; that takes one shift and XOR an exponent. Squaring keeps the relation (over GF(2), P(x)² = P(x²)), so one
relation with few exponents, found once by search, serves every doubled distance k·2^j::

    [ H (h bits) | L (k bits) ]   ─▶   [ L ⊕ H·x^e1 ⊕ H·x^e2 … (k bits) ]

Bytes are read least significant bit first ("reflected"), so bit i of the integer is the coefficient of x^(n-1-i):
a higher power lies at a lower bit, and a multiplication by a power is a shift to the left. The last few bytes go
through a table. tests/objects/test_crc.py proves the relations by arithmetic and the results by published checks.
"""

from __future__ import annotations

BLOCK = 64 * 1024  # bytes folded at once: the interpreter lock is held for a fraction of a millisecond
DOUBLINGS = 8
SMALL = (1536, 768, 512, 256, 128)  # bits; dense relations for what is left


class Crc:
    """One CRC: reflected, starting from and finished with all ones. ``update`` continues like ``zlib.crc32``."""

    def __init__(self, width: int, polynomial: int, distance: int = 0, exponents: tuple[int, ...] = ()) -> None:
        """``polynomial`` without its highest term, highest power first; x^distance ≡ Σ x^exponents mod P."""
        self.width = width
        self.polynomial = polynomial | 1 << width
        self._ones = (1 << width) - 1
        self._reflected = int(f"{polynomial:0{width}b}"[::-1], 2)
        self._table = [self._byte(value) for value in range(256)]
        self._folds = [
            (distance << j, tuple(e << j for e in exponents)) for j in reversed(range(DOUBLINGS)) if exponents
        ] + [(k, self._residue(k)) for k in SMALL if k > width]

    def update(self, data: bytes | bytearray | memoryview, crc: int = 0) -> int:
        view = memoryview(data)
        state = crc ^ self._ones
        for start in range(0, len(view), BLOCK):
            state = self._block(view[start : start + BLOCK], state)
        return state ^ self._ones

    def combine(self, first: int, second: int, second_length: int) -> int:
        """The CRC of two messages in a row, from theirs; the length is in bytes."""
        return self._multiply(first, self._power(8 * second_length)) ^ second

    def _byte(self, value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (self._reflected if value & 1 else 0)
        return value

    def _residue(self, power: int) -> tuple[int, ...]:
        """The exponents of x^power mod P."""
        rest = 1
        for _ in range(power):
            rest <<= 1
            if rest >> self.width:
                rest ^= self.polynomial
        return tuple(e for e in range(self.width) if rest >> e & 1)

    def _block(self, data: memoryview, state: int) -> int:
        if len(data) * 8 < self.width:
            return self._bytes(bytes(data), state)
        bits, message = len(data) * 8, int.from_bytes(data, "little") ^ state
        for distance, exponents in self._folds:
            while bits > distance:
                taken = min(bits - distance, (distance - max(exponents)) & ~7)
                head = message & ((1 << taken) - 1)
                message >>= taken
                for e in exponents:
                    message ^= head << (distance - e - taken)
                bits -= taken
        return self._bytes(message.to_bytes(bits // 8, "little"), 0)

    def _bytes(self, data: bytes, state: int) -> int:
        table = self._table
        for byte in data:
            state = state >> 8 ^ table[(state ^ byte) & 0xFF]
        return state

    def _multiply(self, a: int, b: int) -> int:
        """a·b mod P, both reflected: bit width-1 is the coefficient of x^0."""
        product, top = 0, 1 << (self.width - 1)
        while a:
            if a & top:
                product ^= b
            a = a << 1 & self._ones
            b = b >> 1 ^ (self._reflected if b & 1 else 0)
        return product

    def _power(self, exponent: int) -> int:
        result, square = 1 << (self.width - 1), 1 << (self.width - 2)
        while exponent:
            if exponent & 1:
                result = self._multiply(result, square)
            square = self._multiply(square, square)
            exponent >>= 1
        return result


CRC32 = Crc(32, 0x04C11DB7)  # for joining only: zlib.crc32 computes it
CRC32C = Crc(32, 0x1EDC6F41, 3840, (3, 29, 31, 370, 968))
CRC64NVME = Crc(64, 0xAD93D23594C93659, 3840, (6, 8, 14, 23, 32, 35, 36, 42, 46, 53, 55, 56, 63, 1606, 1636))
