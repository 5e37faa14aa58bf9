"""Numbers: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125 (developer guide, "Numbers").

A number is kept as its one plain spelling, so that equal numbers are equal texts.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from littoral.protocols.dynamodb.errors import Invalid

DIGITS = 38
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
SMALLEST, LARGEST = -130, 125  # decimal exponents of the first digit
PLAIN = re.compile(r"-?[1-9][0-9]{0,37}|0")
_FORM = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
_EXACT = Context(prec=DIGITS, traps=[Inexact, InvalidOperation, Overflow])
_NINES = bytes.maketrans(b"0123456789", b"9876543210")


def canonical(text: str) -> str:
    """The one spelling of a number. Raises Invalid."""
    if PLAIN.fullmatch(text):
        return text
    if not _FORM.fullmatch(text):
        raise Invalid(f"The parameter cannot be converted to a numeric value: {text[:100]}")
    return _written(Decimal(text))


def _written(number: Decimal) -> str:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    significant = "".join(map(str, digits)).strip("0")
    if not significant:
        return "0"
    if len(significant) > DIGITS:
        raise Invalid("Attempting to store more than 38 significant digits in a Number")
    first = number.adjusted()
    if first > LARGEST:
        raise Invalid(OVERFLOW)
    if first < SMALLEST:
        raise Invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text.lstrip("+")


def add(left: str, right: str, *, minus: bool = False) -> str:
    """Raises Invalid where the result has more than 38 digits or is out of range."""
    first, second = Decimal(left), Decimal(right)
    try:
        total = _EXACT.subtract(first, second) if minus else _EXACT.add(first, second)
    except (Inexact, InvalidOperation, Overflow):  # DynamoDB calls that an overflow of the number
        raise Invalid(OVERFLOW) from None
    return _written(total)


def ordered(text: str) -> bytes:
    """A canonical number as bytes whose order is the numbers' order."""
    if text == "0":
        return b"\x01"
    number = Decimal(text)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0").encode()
    place = number.adjusted() - SMALLEST  # 0…255
    if number > 0:
        return bytes((2, place)) + digits
    return bytes((0, 255 - place)) + digits.translate(_NINES) + b"\xff"


def size(text: str) -> int:
    """Bytes that a number counts: one for two significant digits, and one; one more where it is negative."""
    digits = len(text.replace(".", "").strip("-").strip("0"))
    return (digits + 1) // 2 + 1 + text.startswith("-")
