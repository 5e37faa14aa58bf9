"""The functions of values alone: one table of (least, most arguments, implementation).

A wrong type is Undefined, as AWS has it. What looks at the message, at literals or at the world is in ``functions``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final, cast

from littoral.protocols.iotsql import md2
from littoral.protocols.iotsql.values import UNDEFINED, Value, decimal, get_item, integer, number, string

Row = dict[str, Value]

LONGEST_MD2: Final = 1024  # bytes

# ------------------------------------------------------------------------------------------------ numbers


def _of_numbers(compute: Callable[..., float]) -> Callable[..., Value]:
    """Arguments by the "to decimal" conversion; what has no real, finite result is Undefined."""

    def function(*values: Value) -> Value:
        numbers = [decimal(value) for value in values]
        if None in numbers:
            return UNDEFINED
        try:
            result = compute(*numbers)
        except (ArithmeticError, ValueError):
            return UNDEFINED
        return UNDEFINED if isinstance(result, complex) else number(result)

    return function


def _of_integers(compute: Callable[[int, int], int]) -> Callable[..., Value]:
    def function(a: Value, b: Value) -> Value:
        x, y = integer(a), integer(b)
        return UNDEFINED if x is None or y is None else number(compute(x, y))

    return function


def _bitnot(value: Value) -> Value:
    """AWS's example is bitnot(13) = 2: the bits that the number has, inverted. A negative one has endless bits."""
    bits = integer(value)
    if bits is None:
        return UNDEFINED
    return number(~bits if bits < 0 else bits ^ ((1 << bits.bit_length()) - 1))


def _round(value: float) -> float:
    """Half away from zero: AWS's examples are Round(1.5) = 2 and Round(-1.5) = -2."""
    return math.copysign(math.floor(abs(value) + 0.5), value) if isinstance(value, float) else value


def remainder(a: float, b: float) -> float:
    """Of ``%``, mod() and remainder(): the sign is the dividend's, as in Java."""
    if isinstance(a, int) and isinstance(b, int):
        return int(math.copysign(1, a)) * (abs(a) % abs(b))
    return math.fmod(a, b)


def _trunc(value: float, places: float) -> float:
    if isinstance(value, int):
        return value
    kept = min(max(math.floor(places), 0), 34)
    shown = Decimal(repr(value))
    with localcontext(prec=400):  # enough for every digit of a double before the point
        return float(shown.quantize(Decimal(1).scaleb(-kept), ROUND_DOWN))


def _power(base: float, exponent: float) -> float:
    return cast(float, float(base) ** float(exponent))


def _nanvl(value: Value, otherwise: Value) -> Value:
    return otherwise if value is None or value is UNDEFINED else value


# ------------------------------------------------------------------------------------------------ strings


def _of_strings(compute: Callable[..., Value]) -> Callable[..., Value]:
    def function(*values: Value) -> Value:
        texts = [string(value) for value in values]
        return UNDEFINED if None in texts else compute(*texts)

    return function


def _substring(text: Value, first: Value, *last: Value) -> Value:
    """To the end where the third argument is left out; one that is there and no number makes the result Undefined."""
    whole, start = string(text), integer(first)
    end = integer(last[0]) if last else len(whole or "")
    if whole is None or start is None or end is None:
        return UNDEFINED
    return whole[max(start, 0) : max(end, 0)]


def _pad(left: bool) -> Callable[[Value, Value], Value]:
    def pad(text: Value, count: Value) -> Value:
        whole, spaces = string(text), integer(count)
        if whole is None or spaces is None:
            return UNDEFINED
        blank = " " * min(max(spaces, 0), 1000)
        return blank + whole if left else whole + blank

    return pad


def _chr(value: Value) -> Value:
    code = integer(value)
    return chr(code) if code is not None and 0 <= code < 128 else UNDEFINED


def _concat(*values: Value) -> Value:
    if len(values) < 2:
        return values[0] if values else UNDEFINED
    if any(type(value) is list for value in values):
        joined: list[Value] = []
        for value in values:
            joined.extend(value if type(value) is list else [] if value is UNDEFINED else [value])
        return joined
    if not any(type(value) is str for value in values):
        return UNDEFINED
    texts = [string(value) for value in values]
    return UNDEFINED if None in texts else "".join(cast(list[str], texts))


def _hash(name: str) -> Callable[..., Value]:
    return _of_strings(lambda text: hashlib.new(name, text.encode("utf-8", "surrogatepass")).hexdigest())


def _md2(value: Value) -> Value:
    """It is Python, 5 ms for a KiB: a message must not hold up all others."""
    text = string(value)
    data = text.encode("utf-8", "surrogatepass") if text is not None else b""
    return UNDEFINED if text is None or len(data) > LONGEST_MD2 else md2.hexdigest(data)


# -------------------------------------------------------------------------------------------- collections


def _transform(mode: Value, attributes: Value, values: Value) -> Value:
    if mode != "enrichArray" or type(attributes) is not dict or type(values) is not list:
        return UNDEFINED
    if not all(type(value) is dict for value in values):
        return UNDEFINED
    return [{**cast(Row, value), **attributes} for value in values]


_MANY = 1000
PLAIN: dict[str, tuple[int, int, Callable[..., Value]]] = {
    "abs": (1, 1, _of_numbers(abs)),
    "acos": (1, 1, _of_numbers(math.acos)),
    "asin": (1, 1, _of_numbers(math.asin)),
    "atan": (1, 1, _of_numbers(math.atan)),
    "atan2": (2, 2, _of_numbers(math.atan2)),
    "bitand": (2, 2, _of_integers(lambda a, b: a & b)),
    "bitnot": (1, 1, _bitnot),
    "bitor": (2, 2, _of_integers(lambda a, b: a | b)),
    "bitxor": (2, 2, _of_integers(lambda a, b: a ^ b)),
    "ceil": (1, 1, _of_numbers(math.ceil)),
    "chr": (1, 1, _chr),
    "concat": (0, _MANY, _concat),
    "cos": (1, 1, _of_numbers(math.cos)),
    "cosh": (1, 1, _of_numbers(math.cosh)),
    "endswith": (2, 2, _of_strings(lambda text, end: text.endswith(end))),
    "exp": (1, 1, _of_numbers(math.exp)),
    "floor": (1, 1, _of_numbers(math.floor)),
    "get": (2, 2, get_item),
    "indexof": (2, 2, _of_strings(lambda text, part: text.find(part))),
    "isnull": (1, 1, lambda value: value is None),
    "isundefined": (1, 1, lambda value: value is UNDEFINED),
    "length": (1, 1, _of_strings(len)),
    "ln": (1, 1, _of_numbers(math.log)),
    "log": (1, 1, _of_numbers(math.log10)),
    "lower": (1, 1, _of_strings(str.lower)),
    "lpad": (2, 2, _pad(left=True)),
    "ltrim": (1, 1, _of_strings(str.lstrip)),
    "md2": (1, 1, _md2),
    "md5": (1, 1, _hash("md5")),
    "mod": (2, 2, _of_numbers(remainder)),
    "nanvl": (2, 2, _nanvl),
    "numbytes": (1, 1, _of_strings(lambda text: len(text.encode("utf-8", "surrogatepass")))),
    "power": (2, 2, _of_numbers(_power)),
    "remainder": (2, 2, _of_numbers(remainder)),
    "replace": (3, 3, _of_strings(lambda text, old, new: text.replace(old, new))),
    "round": (1, 1, _of_numbers(_round)),
    "rpad": (2, 2, _pad(left=False)),
    "rtrim": (1, 1, _of_strings(str.rstrip)),
    "sha1": (1, 1, _hash("sha1")),
    "sha224": (1, 1, _hash("sha224")),
    "sha256": (1, 1, _hash("sha256")),
    "sha384": (1, 1, _hash("sha384")),
    "sha512": (1, 1, _hash("sha512")),
    "sign": (1, 1, _of_numbers(lambda value: (value > 0) - (value < 0))),
    "sin": (1, 1, _of_numbers(math.sin)),
    "sinh": (1, 1, _of_numbers(math.sinh)),
    "sqrt": (1, 1, _of_numbers(math.sqrt)),
    "startswith": (2, 2, _of_strings(lambda text, start: text.startswith(start))),
    "substring": (2, 3, _substring),
    "tan": (1, 1, _of_numbers(math.tan)),
    "tanh": (1, 1, _of_numbers(math.tanh)),
    "transform": (3, 3, _transform),
    "trim": (1, 1, _of_strings(str.strip)),
    "trunc": (2, 2, _of_numbers(_trunc)),
    "upper": (1, 1, _of_strings(str.upper)),
}
