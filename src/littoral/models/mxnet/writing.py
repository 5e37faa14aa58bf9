"""ONNX nodes being written for one graph: names, constants, and what is known of each operator of MXNet's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from littoral.models.mxnet.params import Array
from littoral.models.mxnet.refusal import CannotImport
from littoral.models.mxnet.symbol import Attributes

OPSET: Final = 17
IR_VERSION: Final = 8
FLOAT: Final = onnx.TensorProto.FLOAT

Shapes = Mapping[str, Sequence[int | str]]


@dataclass
class Sheet:
    """What was written so far. ``known`` are the values that do not depend on the model's inputs, by name."""

    inputs: Shapes
    known: dict[str, Array]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    names: int = 0

    def fresh(self, hint: str) -> str:
        self.names += 1
        return f"{hint}:{self.names}"

    def model(self, heads: Sequence[str]) -> onnx.ModelProto:
        """What was written, as a model with these outputs, its shapes inferred. Raises InferenceError."""
        graph = helper.make_graph(
            self.nodes,
            "imported from MXNet",
            [helper.make_tensor_value_info(name, FLOAT, list(shape)) for name, shape in self.inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in heads],
            self._initializers(heads),
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="littoral", ir_version=IR_VERSION)
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)

    def _initializers(self, heads: Sequence[str]) -> list[onnx.TensorProto]:
        """The known values that are used."""
        used = {name for node in self.nodes for name in node.input} | set(heads)
        known = self.known.items()
        return [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in known if name in used]


@dataclass
class Writing:
    """One node of MXNet's that is to become ONNX nodes."""

    op: str
    name: str
    told: Attributes
    inputs: Sequence[str]
    sheet: Sheet

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """An ONNX node, and the names of its outputs."""
        names = [self.sheet.fresh(self.name) for _ in range(outputs)]
        self.sheet.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def one(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.node(op, *inputs, **attributes)[0]

    def constant(self, value: Array) -> str:
        name = self.sheet.fresh(self.name)
        self.sheet.known[name] = value
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def rank(self, value: str) -> int:
        """How many axes a value has. Raises CannotImport where that cannot be known."""
        if value in self.sheet.known:
            return self.sheet.known[value].ndim
        if value in self.sheet.inputs:
            return len(self.sheet.inputs[value])
        try:
            kind = self.sheet.model([value]).graph.output[0].type.tensor_type
        except onnx.shape_inference.InferenceError as problem:
            raise CannotImport(f"what {self.op} {self.name} takes does not fit together: {problem}") from problem
        if not kind.HasField("shape"):
            raise self.refused("how many axes its input has cannot be known")
        return len(kind.shape.dim)

    def known(self, place: int, what: str) -> Array:
        """An input that is in the .params file, or is made of such alone. Raises CannotImport."""
        try:
            return self.sheet.known[self.inputs[place]]
        except (KeyError, IndexError):
            raise self.refused(f"its {what} is not in the .params file") from None

    def refused(self, why: str) -> CannotImport:
        return CannotImport(f"{self.op} {self.name}: {why}")

    def refuse(self, name: str, *, unless: str) -> None:
        """Raises CannotImport where the node is told something for which no ONNX is written."""
        said = self.told.text(name, unless)
        if said not in (unless, "None"):
            raise self.refused(f"{name}={said} is not imported, only {unless}")


Translation = Callable[[Writing], Sequence[str]]
OPERATORS: dict[str, Translation] = {}


def operator(*names: str) -> Callable[[Translation], Translation]:
    """This function writes these operators: it returns the names of their outputs in ONNX."""

    def keep(translation: Translation) -> Translation:
        OPERATORS.update(dict.fromkeys(names, translation))
        return translation

    return keep
