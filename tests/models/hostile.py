"""Models that are sound ONNX, and mean harm."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models.nets import model

FLOAT = TensorProto.FLOAT
ROWS = helper.make_tensor_value_info("x", FLOAT, ["N", 4])
ANSWER = helper.make_tensor_value_info("y", FLOAT, ["M", "K"])


def _of(nodes: list[onnx.NodeProto], *weights: onnx.TensorProto) -> bytes:
    return model(helper.make_graph(nodes, "hostile", [ROWS], [ANSWER], list(weights)))


def _numbers(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def endless() -> bytes:
    """A loop that goes on for ever."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["so"], ["so_on"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("at", TensorProto.INT64, []),
            helper.make_tensor_value_info("so", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, ["N", 4]),
        ],
        [
            helper.make_tensor_value_info("so_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, ["N", 4]),
        ],
    )
    true = numpy_helper.from_array(np.array(True), "true")
    return _of([helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)], true)


def huge() -> bytes:
    """Works with 400 GB, of eight bytes of file."""
    nodes = [
        helper.make_node("ConstantOfShape", ["lengths"], ["all"]),
        helper.make_node("ReduceSum", ["all"], ["sum"], keepdims=1),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    return _of(nodes, _numbers("lengths", 100_000, 1_000_000))


def unknown_operator() -> bytes:
    graph = helper.make_graph([helper.make_node("Theirs", ["x"], ["y"], domain="theirs")], "hostile", [ROWS], [ANSWER])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("theirs", 1)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString())


def posing() -> bytes:
    """An ONNX file that begins as one of ONNX Runtime's own form does."""
    made = helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "posing", [ROWS], [ANSWER]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
        producer_name="ORTM",
    )
    return bytes(made.SerializeToString())
