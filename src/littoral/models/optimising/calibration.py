"""The samples that a model is calibrated with and judged by: a ``.npz`` with an array for each input.

The even samples calibrate, the odd ones judge: no sample does both. Pickles are not read.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from littoral.models.optimising.opening import first_line
from littoral.models.optimising.refusal import CannotOptimise

MOST_BYTES = 2**30  # of arrays, unpacked
LABELS = "labels"  # the array that is no input
BATCH = 32  # samples asked at once where the model leaves that open
DAMAGE = (  # what numpy and zipfile raise for it; of an array's header, what Python's own parser does
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

Arrays = dict[str, np.typing.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Samples:
    """``inputs`` by name and ``labels`` (if any), with as many samples each; ``batch`` samples are asked at once,
    which the model may have ``fixed``."""

    inputs: Arrays
    labels: np.typing.NDArray[Any] | None
    batch: int
    fixed: bool

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def every_other(self, first: int) -> Samples:
        labels = None if self.labels is None else self.labels[first::2]
        return Samples({name: array[first::2] for name, array in self.inputs.items()}, labels, self.batch, self.fixed)

    def batches(self) -> Iterator[Arrays]:
        """The last may be smaller, or is left out where the model's batch is fixed."""
        end = len(self) // self.batch * self.batch if self.fixed else len(self)
        for first in range(0, end, self.batch):
            yield {name: array[first : first + self.batch] for name, array in self.inputs.items()}


def read_samples(file: Path, model: onnx.ModelProto) -> Samples:
    """Raises CannotOptimise where an array is missing, is of another type or shape than the model's, or not finite."""
    arrays = _read(file)
    weights = {tensor.name for tensor in model.graph.initializer}
    wanted = [value for value in model.graph.input if value.name not in weights]
    labels = arrays.pop(LABELS, None)
    names = [value.name for value in wanted]
    if sorted(arrays) != sorted(names):
        raise CannotOptimise(f"{file} has {_listed(arrays)}; the model takes {_listed(names)} (and may have {LABELS})")
    batches = {_held_against(value, arrays[value.name], file) for value in wanted} - {0}
    counts = {len(array) for array in (*arrays.values(), *(() if labels is None else (labels,)))}
    if len(counts) != 1 or len(batches) > 1:
        raise CannotOptimise(f"the arrays of {file} have different numbers of samples: {sorted(counts)}")
    fixed = batches.pop() if batches else 0
    count = counts.pop()
    if count < 2 * max(fixed, 2):
        raise CannotOptimise(f"{file} has {count} samples; at least {2 * max(fixed, 2)} are needed")
    return Samples({name: arrays[name] for name in names}, labels, fixed or min(BATCH, count // 2), bool(fixed))


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _read(file: Path) -> Arrays:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise CannotOptimise(f"{file} unpacks to {size} bytes; at most {MOST_BYTES} are read")
        with np.load(file, allow_pickle=False) as archive:
            return {name: np.ascontiguousarray(archive[name]) for name in archive.files}
    except OSError as problem:
        raise CannotOptimise(f"{file}: {problem.strerror or problem}") from problem
    except DAMAGE as problem:
        raise CannotOptimise(f"{file} is not a file of numpy.savez: {first_line(problem)}") from problem


def _held_against(value: onnx.ValueInfoProto, array: np.typing.NDArray[Any], file: Path) -> int:
    """The batch that the model fixes for this input, or 0."""
    tensor = value.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    said = f"{file}: {value.name} is {array.dtype}{list(array.shape)}"
    if not shape:
        raise CannotOptimise(f"the model's input {value.name} has no first axis for samples")
    if array.dtype != kind or array.ndim != len(shape):
        raise CannotOptimise(f"{said}; the model takes {kind} with {len(shape)} axes")
    if any(wanted not in {0, found} for wanted, found in zip(shape[1:], array.shape[1:], strict=True)):
        raise CannotOptimise(f"{said}; the model takes {['any' if n == 0 else n for n in shape]}")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise CannotOptimise(f"{file}: {value.name} has values that are not finite")
    return shape[0]
