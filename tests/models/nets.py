"""Small ONNX models for tests, made with onnx itself."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(graph: onnx.GraphProto) -> bytes:
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def linear(scale: float = 2.0, rows: int | str = "N", width: int = 4) -> bytes:
    """y = scale * x + 1, rows of ``width`` FP32."""
    weights = numpy_helper.from_array(np.eye(width, dtype=np.float32) * np.float32(scale), "w")
    bias = numpy_helper.from_array(np.ones(width, np.float32), "b")
    return model(
        helper.make_graph(
            [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
            "linear",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, width])],
            [weights, bias],
        )
    )


def tiled(times: int) -> bytes:
    """A row of four becomes one of four times so many."""
    return model(
        helper.make_graph(
            [helper.make_node("Tile", ["x", "times"], ["y"])],
            "tiled",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4 * times])],
            [numpy_helper.from_array(np.array([1, times], np.int64), "times")],
        )
    )


def failing() -> bytes:
    """Takes what ``linear`` takes, and fails at every row: four numbers are no rows of three."""
    return model(
        helper.make_graph(
            [helper.make_node("Reshape", ["x", "three"], ["y"])],
            "failing",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["M", 3])],
            [numpy_helper.from_array(np.array([-1, 3], np.int64), "three")],
        )
    )


def two_inputs() -> bytes:
    """sum = a + b (FP32), same = words (BYTES)."""
    return model(
        helper.make_graph(
            [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Identity", ["words"], ["same"])],
            "two",
            [
                helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 2]),
                helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 2]),
                helper.make_tensor_value_info("words", TensorProto.STRING, ["N"]),
            ],
            [
                helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["N", 2]),
                helper.make_tensor_value_info("same", TensorProto.STRING, ["N"]),
            ],
        )
    )


def external(location: str) -> bytes:
    """A model whose weights are said to be in the file ``location``."""
    made = onnx.load_model_from_string(linear())
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return bytes(made.SerializeToString())


def archive(files: dict[str, bytes]) -> bytes:
    """A ``model.tar.gz``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as into:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            into.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
