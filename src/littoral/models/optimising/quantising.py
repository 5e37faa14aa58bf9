"""A float model in 8-bit integers, by ONNX Runtime's own quantiser, and either's graph optimised ahead of time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from littoral.models.optimising.calibration import Arrays, Samples
from littoral.models.optimising.engine import session
from littoral.models.optimising.opening import first_line
from littoral.models.optimising.refusal import CannotOptimise

METHODS = ("float", "dynamic", "static")
DYNAMIC = ["MatMul", "Gemm", "LSTM", "Gather", "Attention"]  # a convolution so quantised is slower by 40 times
STATEMENT = "littoral.optimised"  # the metadata that says what was done


def made(model: onnx.ModelProto, method: str, samples: Samples) -> bytes:
    """The model by a method, as the bytes of a file.

    ``float`` changes no number; ``dynamic`` keeps weights as integers and finds the range of what flows at run time;
    ``static`` has found those ranges with ``samples``. Weights have 7 bits: a CPU without VNNI adds up two products in
    16, which 8 bits would overflow. Raises CannotOptimise.
    """
    with tempfile.TemporaryDirectory(prefix="littoral-optimise-") as folder, _quietly():
        at = Path(folder)
        small = at / "small.onnx"
        if method == "float":
            small.write_bytes(model.SerializeToString())
        else:
            _quantised(model, method, samples, at, small)
        session(small, optimised=at / "ready.onnx")
        ready = onnx.ModelProto.FromString((at / "ready.onnx").read_bytes())
    ready.metadata_props.add(key=STATEMENT, value=method)
    return bytes(ready.SerializeToString())


def _quantised(model: onnx.ModelProto, method: str, samples: Samples, at: Path, to: Path) -> None:
    given, prepared = at / "given.onnx", at / "prepared.onnx"
    given.write_bytes(model.SerializeToString())  # a model in memory would be changed
    try:
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        if method == "dynamic":
            quantize_dynamic(
                prepared,
                to,
                op_types_to_quantize=DYNAMIC,
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
        else:
            quantize_static(
                prepared,
                to,
                _Reader(samples),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except Exception as problem:  # whatever the quantiser meets in somebody's graph
        raise CannotOptimise(f"ONNX Runtime cannot quantise the model ({method}): {first_line(problem)}") from problem


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Samples) -> None:
        self._batches = samples.batches()

    def get_next(self) -> Arrays | None:
        return next(self._batches, None)


@contextmanager
def _quietly() -> Iterator[Any]:
    """The quantiser advises through the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
