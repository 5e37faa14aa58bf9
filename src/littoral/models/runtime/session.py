"""One model, open: ONNX Runtime behind a check of everything that goes in.

What the check costs is measured (bench/bench_models.py): a few microseconds where its code is in the caches. Behind a
large net nothing of it is there, so what counts is how many functions and objects are touched: what can be known
beforehand is, and one input and one output go by the shortest way.
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
        self.most_rows = most_rows
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        try:
            self._session = ort.InferenceSession(data, options, providers=_providers(gpu))
        except Exception as problem:  # ONNX Runtime has a class for each of its codes, which share no base
            raise ModelFailed(f"ONNX Runtime cannot load the model: {problem}") from problem
        self.providers: list[str] = self._session.get_providers()
        self.inputs = self.known.inputs
        self.outputs = self.known.outputs
        self._names = [each.name for each in self.outputs]
        self._checks = [_Check(each) for each in self.inputs]
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
        feeds = {self._name: self._take(value, self.most_rows)}
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
            array = found[check.name] = check.take(value, self.most_rows)
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

    __slots__ = ("_dtype", "_float", "_open", "_rest", "_shape", "_tensor", "_zeros", "name", "named")

    def __init__(self, tensor: Tensor) -> None:
        self.name = tensor.name
        self.named = [(at, length) for at, length in enumerate(tensor.shape) if isinstance(length, str) and length]
        self._tensor = tensor
        self._dtype = DTYPES[tensor.datatype]
        self._float = self._dtype.kind == "f"
        self._shape = tuple(length if isinstance(length, int) else None for length in tensor.shape)
        self._open = self._shape[:1] == (None,)  # and so counted against the rows that are taken at once
        self._rest = self._shape[1:] if self._open and None not in self._shape[1:] else None  # as most models have it
        self._zeros = np.zeros(0, self._dtype)  # as many as the input had last

    def take(self, value: Any, most_rows: int) -> Array:
        array = value if type(value) is np.ndarray else self._array(value)
        if array.dtype is not self._dtype and array.dtype != self._dtype:
            if self._dtype.kind != "O" or array.dtype.kind not in _TEXT_KINDS:
                given = DATATYPES.get(array.dtype, str(array.dtype))
                raise BadInput(f"the input {self.name} is {given}, where the model takes {self._tensor}")
            array = array.astype(object)
        shape = array.shape
        if not shape or shape[1:] != self._rest:
            self._fit(shape)
        if self._open and shape[0] > most_rows:
            raise BadInput(f"{shape[0]} rows at once, where {most_rows} are taken")
        if self._float and (size := array.size):
            # a NaN or an infinity shows in the product with zeros: no other look at all numbers is as little code
            zeros = self._zeros
            if size != zeros.size:
                if size > _MOST_PRODUCT:
                    self._add_up(array)
                    return array
                zeros = self._zeros = np.zeros(size, self._dtype)
            if isnan(array.reshape(-1).dot(zeros)):
                raise self._not_finite()
        return array

    def _add_up(self, array: Array) -> None:
        """A NaN or an infinity shows in the sum; so may large numbers, which are looked at one by one. Raises
        BadInput."""
        if not isfinite(np.add.reduce(array, None)) and not np.isfinite(array).all():
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


def of_values(value: Any, dtype: np.dtype[Any]) -> Array:
    """Nested lists of numbers or texts. Raises ValueError, TypeError, OverflowError where they are none of the type."""
    made = np.array(value, dtype=dtype)
    if dtype.kind in "iu" and not np.array_equal(made, np.array(value)):
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
