"""A model of MXNet's becomes an ONNX model: the graph walked once, each operator written by its translation."""

from __future__ import annotations

import onnx
from onnx import helper

from littoral.models.mxnet import elementwise, layers, recurrent, reductions, shapes  # noqa: F401 - they write OPERATORS
from littoral.models.mxnet.params import read_params
from littoral.models.mxnet.refusal import CannotImport
from littoral.models.mxnet.symbol import Graph, Node, read_symbol
from littoral.models.mxnet.writing import OPERATORS, Shapes, Sheet, Writing

# What training compares with is no input of the model that is served.
TRAINING = dict.fromkeys(
    ("SoftmaxOutput", "Softmax", "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput"), (1,)
)


def import_model(symbol: bytes, params: bytes, inputs: Shapes) -> onnx.ModelProto:
    """The ONNX model of the same answers, checked and with its shapes inferred.

    ``inputs`` names each input and its shape; a dimension may be a name (``N``), which leaves it open. Values are
    32-bit floats, as everywhere in MXNet's own models. Raises CannotImport.
    """
    graph = read_symbol(symbol)
    sheet = Sheet(inputs, read_params(params))
    needed = graph.needed(TRAINING)
    _agree(graph, needed, inputs, sheet)
    written: dict[int, list[str]] = {}
    for number in needed:
        written[number] = _write(graph.nodes[number], written, sheet)
    return _model(sheet, [(written[node][output], _head(graph, node, output)) for node, output in graph.heads])


def _head(graph: Graph, node: int, output: int) -> str:
    """The name of an answer, as MXNet gives it."""
    return f"{graph.nodes[node].name}_output{output or ''}"


def _agree(graph: Graph, needed: list[int], inputs: Shapes, sheet: Sheet) -> None:
    """What the graph asks for is what the caller names, and the .params file has the rest."""
    asked = [graph.nodes[n].name for n in needed if graph.nodes[n].op == "null"]
    missing = [name for name in asked if name not in sheet.known and name not in inputs]
    if missing:
        raise CannotImport(
            f"neither the .params file nor the named inputs have {', '.join(missing)}: name their shapes"
        )
    for name in inputs:
        if name not in asked:
            raise CannotImport(f"the model has no input {name}; it asks for {', '.join(asked[:5])}, ...")


def _write(node: Node, written: dict[int, list[str]], sheet: Sheet) -> list[str]:
    if node.op == "null":
        return [node.name]
    translation = OPERATORS.get(node.op)
    if translation is None:
        raise CannotImport(f"the operator {node.op} (of {node.name}) is not imported")
    left = TRAINING.get(node.op, ())
    names = [_named(written, at, output, node) for place, (at, output) in enumerate(node.inputs) if place not in left]
    try:
        return list(translation(Writing(node.op, node.name, node.told, names, sheet)))
    except (IndexError, ValueError) as problem:
        if isinstance(problem, CannotImport):
            raise
        raise CannotImport(f"{node.op} {node.name}: its inputs are not what this operator takes") from problem


def _named(written: dict[int, list[str]], at: int, output: int, node: Node) -> str:
    outputs = written[at]
    if output >= len(outputs):
        raise CannotImport(f"{node.op} {node.name} uses an output that is not imported")
    return outputs[output]


def _model(sheet: Sheet, heads: list[tuple[str, str]]) -> onnx.ModelProto:
    """``heads``: the values that are answered, and the names under which they are."""
    sheet.nodes.extend(helper.make_node("Identity", [value], [name]) for value, name in heads)
    try:
        model = sheet.model([name for _, name in heads])
        onnx.checker.check_model(model, full_check=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as problem:
        raise CannotImport(f"the model does not fit together: {str(problem).splitlines()[0]}") from problem
    return model
