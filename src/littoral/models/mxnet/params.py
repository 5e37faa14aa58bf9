"""A ``.params`` file: the named arrays that MXNet 0.9 to 1.9 saved. Pure: bytes in, arrays out, nothing is run.

The file is a list of arrays and a list of their names, all little-endian (MXNet's ``NDArray::Save``): a magic number, a
reserved word, the count of arrays, each array (its own magic number, shape, device, type, contents), the count of
names, each name with its length. Names begin with ``arg:`` or ``aux:`` where a symbol was exported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from littoral.models.mxnet.refusal import CannotImport

Array = npt.NDArray[Any]

LIST: Final = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
TYPES: Final = ("<f4", "<f8", "<f2", "|u1", "<i4", "|i1", "<i8", "|b1", "<i2", "<u2", "<u4", "<u8")
MOST_DIMENSIONS: Final = 32


def read_params(data: bytes) -> dict[str, Array]:
    """The arrays by their names, without ``arg:`` and ``aux:``; they are views of ``data``. Raises CannotImport."""
    file = _Reader(data)
    if file.number(8) != LIST:
        raise CannotImport("this is no .params file: it does not begin as MXNet's lists of arrays do")
    file.number(8)
    arrays = [file.array() for _ in file.counted("arrays", least=4)]
    names = [file.name() for _ in file.counted("names", least=8)]
    if len(names) != len(arrays):
        raise CannotImport(f"the .params file has {len(arrays)} arrays and {len(names)} names")
    if not file.at_end:
        raise CannotImport("the .params file has bytes after its end")
    return {
        name.partition(":")[2] if name.startswith(("arg:", "aux:")) else name: a
        for name, a in zip(names, arrays, strict=True)
    }


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise CannotImport("the .params file is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def counted(self, what: str, least: int) -> Iterator[int]:
        """As many turns as a count says, which is refused where so many cannot be in what is left."""
        count = self.number(8)
        if count * least > len(self._data) - self._at:
            raise CannotImport(f"the .params file says that it has {count} {what}, and is too short for them")
        return iter(range(count))

    def name(self) -> str:
        try:
            return str(self.take(self.number(8)), "utf-8")
        except UnicodeDecodeError as problem:
            raise CannotImport("a name in the .params file is not UTF-8") from problem

    def array(self) -> Array:
        shape = self._shape()
        self.number(4), self.number(4)  # the device it was on
        kind = self.number(4)
        if kind >= len(TYPES):
            raise CannotImport(f"an array in the .params file is of type {kind}, which is not read")
        dtype = np.dtype(TYPES[kind])
        data = self.take(math.prod(shape) * dtype.itemsize)
        try:
            return np.frombuffer(data, dtype).reshape(shape)
        except ValueError as problem:  # lengths beside a 0 that no array has
            raise CannotImport(f"an array in the .params file has a shape that no array has: {problem}") from problem

    def _shape(self) -> tuple[int, ...]:
        magic = self.number(4)
        if magic in (V2, V3):
            if self.number(4) != 0:
                raise CannotImport("a sparse array in the .params file is not read")
        elif magic != V1:  # before 0.9, where the word is the count of dimensions
            return self._dimensions(magic, 4)
        return self._dimensions(self.number(4), 8)

    def _dimensions(self, count: int, size: int) -> tuple[int, ...]:
        if count > MOST_DIMENSIONS:
            raise CannotImport(f"an array in the .params file has {count} dimensions")
        shape = tuple(self.number(size, signed=True) for _ in range(count))
        if any(length < 0 for length in shape):
            raise CannotImport("an array in the .params file has an unknown shape")
        return shape
