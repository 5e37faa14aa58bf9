"""One model, open: ONNX Runtime behind a check of everything that goes in.

What the check costs is measured (bench/bench_models.py): a few microseconds where its code is in the caches. Behind a
large net nothing of it is there, so what counts is how many functions and objects are touched: what can be known
beforehand is, an array shaped like the last one that was taken is looked at no further, and one input and one output go
by the shortest way.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from littoral.models.registry.onnxfile import Inspected, Tensor, inspect
from littoral.models.runtime.refusal import BadInput, ModelFailed

Array = np.ndarray[Any, np.dtype[Any]]
Feeds = dict[str, Array]

MOST_ROWS: Final = 1024  # in one call
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
DATATYPES: Final = {dtype: name for name, dtype in DTYPES.items()}
_MOST_PRODUCT: Final = 8192  # numbers of one product; OpenBLAS takes threads for more than 10,000
_ONE: Final = (-1,)  # line
_ndarray: Final = np.ndarray

# How a NaN or an infinity is found: numbers as lines, by which zeros are multiplied. It shows in the product, and no
# other look at all numbers is as little code. Of three dimensions numpy makes a product of each line; of two it asks
# BLAS for one of all, which takes threads.
_Look = tuple[tuple[int, ...], Array]
GPU: Final = "CUDAExecutionProvider"
_TEXT_KINDS: Final = "US"

# Not-a-numbers are found by a product; numpy.errstate around each would cost as much as the product.
warnings.filterwarnings("ignore", "invalid value encountered in dot", RuntimeWarning, __name__.replace(".", r"\."))


class Session:
    """``threads``: how many a call may use, 0 for one a processor. ``gpu``: True where it must be there, None where it
    is used if ONNX Runtime offers one."""

    def __init__(
        self, data: bytes, *, threads: int = 0, gpu: bool | None = None, most_rows: int = MOST_ROWS, spin: bool = True
    ) -> None:
        """Raises BadModel, ModelFailed."""
        self.known: Inspected = inspect(data)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")  # whatever else it may be read as
        try:
            self._session = ort.InferenceSession(data, options, providers=_providers(gpu))
        except Exception as problem:  # ONNX Runtime has a class for each of its codes, which share no base
            raise ModelFailed(f"ONNX Runtime cannot load the model: {problem}") from problem
        self.providers: list[str] = self._session.get_providers()
        self.inputs = self.known.inputs
        self.outputs = self.known.outputs
        self._names = [each.name for each in self.outputs]
        self._checks = [_Check(each, most_rows) for each in self.inputs]
        self._several = len(self._checks) > 1  # whose open lengths may have to be the same
        self._run = self._session.run
        self._take, self._name = (
            self._checks[0].take if self._checks else None,
            self.inputs[0].name if self.inputs else "",
        )

    def run(self, feeds: Mapping[str, Any]) -> Feeds:
        """Every output by its name. Raises BadInput, ModelFailed."""
        return self.answer(self.checked(feeds))

    def of_one(self, value: Any) -> list[Array]:
        """Of a model with one input: its outputs in their order. Raises BadInput, ModelFailed."""
        assert self._take is not None
        feeds = {self._name: self._take(value)}
        try:
            return self._run(self._names, feeds)  # type: ignore[no-any-return]
        except Exception as problem:  # as above
            raise ModelFailed(f"the model failed: {problem}") from problem

    def checked(self, feeds: Mapping[str, Any]) -> Feeds:
        """As arrays that the model takes. Raises BadInput."""
        found: Feeds = {}
        lengths: dict[str, int] = {}
        for check in self._checks:
            value = feeds.get(check.name)
            if value is None:
                raise BadInput(f"the input {check.name} is missing: the model takes {_told(self.inputs)}")
            array = found[check.name] = check.take(value)
            for at, name in check.named if self._several else ():
                length = array.shape[at]
                if lengths.setdefault(name, length) != length:
                    raise BadInput(f"the inputs do not fit together: {name} is {lengths[name]} and {length}")
        if len(feeds) != len(found):
            unknown = ", ".join(sorted(set(feeds) - set(found)))
            raise BadInput(f"the model has no input {unknown}: it takes {_told(self.inputs)}")
        return found

    def answer(self, feeds: Feeds) -> Feeds:
        """Of what is checked. Raises ModelFailed."""
        try:
            found = self._session.run(self._names, feeds)
        except Exception as problem:  # as above
            raise ModelFailed(f"the model failed: {problem}") from problem
        return dict(zip(self._names, found, strict=True))


class _Check:
    """Of one input. It is asked at every call, so what is known beforehand is."""

    __slots__ = ("_dtype", "_float", "_most_rows", "_open", "_shape", "_tensor", "_usual", "name", "named")

    def __init__(self, tensor: Tensor, most_rows: int) -> None:
        self.name = tensor.name
        self.named = [(at, length) for at, length in enumerate(tensor.shape) if isinstance(length, str) and length]
        self._tensor = tensor
        self._most_rows = most_rows
        self._dtype = DTYPES[tensor.datatype]
        self._float = self._dtype.kind == "f"
        self._shape = tuple(length if isinstance(length, int) else None for length in tensor.shape)
        self._open = self._shape[:1] == (None,)  # and so counted against the rows that are taken at once
        self._usual: tuple[tuple[int, ...] | None, _Look | None] = None, None  # the last shape taken

    def take(self, value: Any) -> Array:
        """An array that the model takes. Raises BadInput."""
        shape, look = self._usual
        if type(value) is not _ndarray or value.shape != shape or value.dtype is not self._dtype:
            value, look = self._fitting(value)
        if look is not None:
            lines, zeros = look
            found = value.reshape(lines).dot(zeros)
            if isnan(sum(found.tolist()[0]) if lines is not _ONE else found):
                raise self._not_finite()
        elif self._float:
            self._add_up(value)
        return value  # type: ignore[no-any-return]

    def _fitting(self, value: Any) -> tuple[Array, _Look | None]:
        """An array of the type and the lengths that the model takes, and how it is looked at; the next one of its shape
        is known. Raises BadInput."""
        array = value if type(value) is _ndarray else self._array(value)
        if array.dtype is not self._dtype and array.dtype != self._dtype:
            if self._dtype.kind != "O" or array.dtype.kind not in _TEXT_KINDS:
                given = DATATYPES.get(array.dtype, str(array.dtype))
                raise BadInput(f"the input {self.name} is {given}, where the model takes {self._tensor}")
            array = array.astype(object)
        self._fit(array.shape)
        if self._open and array.shape[0] > self._most_rows:
            raise BadInput(f"{array.shape[0]} rows at once, where {self._most_rows} are taken")
        look = _look(array.size, self._dtype) if self._float else None
        self._usual = array.shape, look
        return array, look

    def _add_up(self, array: Array) -> None:
        """A NaN or an infinity shows in the sum; so may large numbers, which are looked at one by one. Raises
        BadInput."""
        with np.errstate(all="ignore"):  # what the sum warns of is asked next
            total = np.add.reduce(array, None)
        if not isfinite(total) and not np.isfinite(array).all():
            raise self._not_finite()

    def _not_finite(self) -> BadInput:
        return BadInput(f"the input {self.name} has a NaN or an infinity in it")

    def _fit(self, shape: tuple[int, ...]) -> None:
        """Raises BadInput."""
        if len(shape) != len(self._shape):
            raise self._misshapen(shape)
        for length, wanted in zip(shape, self._shape, strict=True):
            if length != wanted and wanted is not None:
                raise self._misshapen(shape)

    def _misshapen(self, shape: tuple[int, ...]) -> BadInput:
        return BadInput(f"the input {self.name} has the shape {list(shape)}, where the model takes {self._tensor}")

    def _array(self, value: Any) -> Array:
        """Of lists and numbers; an array of another library as it is."""
        try:
            return np.asarray(value) if hasattr(value, "__array__") else of_values(value, self._dtype)
        except (ValueError, TypeError, OverflowError) as problem:
            raise BadInput(f"the input {self.name} is no {self._tensor}: {problem}") from problem


def _look(size: int, dtype: np.dtype[Any]) -> _Look | None:
    """None where so many numbers make no lines that are neither too long nor too many."""
    if size <= _MOST_PRODUCT:
        return _ONE, np.zeros(size, dtype)
    least = -(-size // _MOST_PRODUCT)
    for count in range(least, 8 * least):
        if size % count == 0:
            return (1, count, size // count), np.zeros(size // count, dtype)
    return None


def of_values(value: Any, dtype: np.dtype[Any]) -> Array:
    """Nested lists of numbers or texts. Raises ValueError, TypeError, OverflowError where they are none of the type."""
    made = np.array(value, dtype=dtype)
    if dtype.kind in "iuf" and (given := np.array(value)).dtype.kind in _TEXT_KINDS:
        raise ValueError("there are texts in it")
    if dtype.kind in "iu" and not np.array_equal(made, given):
        raise ValueError("there are fractions in it")
    if dtype.kind == "O" and not all(isinstance(each, (str, bytes)) for each in made.flat):
        raise ValueError("there is more than texts in it")
    return made


def _providers(gpu: bool | None) -> Sequence[str]:
    offered = GPU in ort.get_available_providers()
    if gpu and not offered:
        raise ModelFailed("this ONNX Runtime offers no GPU")
    return [GPU, "CPUExecutionProvider"] if offered and gpu is not False else ["CPUExecutionProvider"]


def _told(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(str, tensors)) or "nothing"
