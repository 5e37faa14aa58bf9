"""Operators that go element by element. Other shapes are stretched as numpy does, which includes what MXNet does."""

from __future__ import annotations

import numpy as np
from onnx import helper

from littoral.models.mxnet.writing import FLOAT, Writing, operator

BINARY = {
    "Add": "elemwise_add broadcast_add broadcast_plus _plus _Plus _add _grad_add",
    "Sub": "elemwise_sub broadcast_sub broadcast_minus _minus _Minus _sub",
    "Mul": "elemwise_mul broadcast_mul _mul _Mul",
    "Div": "elemwise_div broadcast_div _div _Div",
    "Pow": "broadcast_power _power _Power",
    "Max": "broadcast_maximum _maximum _Maximum",
    "Min": "broadcast_minimum _minimum _Minimum",
}
COMPARING = {
    "Equal": "broadcast_equal _equal _equal_scalar",
    "Greater": "broadcast_greater _greater _greater_scalar",
    "GreaterOrEqual": "broadcast_greater_equal _greater_equal _greater_equal_scalar",
    "Less": "broadcast_lesser _lesser _lesser_scalar",
    "LessOrEqual": "broadcast_lesser_equal _lesser_equal _lesser_equal_scalar",
}
WITH_A_SCALAR = {
    "Add": "_plus_scalar _PlusScalar",
    "Sub": "_minus_scalar _MinusScalar",
    "Mul": "_mul_scalar _MulScalar",
    "Div": "_div_scalar _DivScalar",
    "Pow": "_power_scalar _PowerScalar",
    "Max": "_maximum_scalar _MaximumScalar",
    "Min": "_minimum_scalar _MinimumScalar",
}
FROM_A_SCALAR = {
    "Sub": "_rminus_scalar _RMinusScalar",
    "Div": "_rdiv_scalar _RDivScalar",
    "Pow": "_rpower_scalar _RPowerScalar",
}
UNARY = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Abs": "abs",
    "Neg": "negative",
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Erf": "erf",
    "Sin": "sin",
    "Cos": "cos",
    "Reciprocal": "reciprocal",
    "Softsign": "softsign",
    "Identity": "identity _copy",
}


def _which(table: dict[str, str], name: str) -> str:
    return next(op for op, names in table.items() if name in names.split())


def _names(table: dict[str, str]) -> list[str]:
    return " ".join(table.values()).split()


@operator(*_names(BINARY))
def binary(w: Writing) -> list[str]:
    return w.node(_which(BINARY, w.op), *w.inputs)


@operator(*_names(COMPARING))
def comparing(w: Writing) -> list[str]:
    """1.0 where it is so, 0.0 elsewhere."""
    scalar = [w.scalar(w.told.real("scalar"))] if w.op.endswith("_scalar") else []
    return w.node("Cast", w.one(_which(COMPARING, w.op), *w.inputs, *scalar), to=FLOAT)


@operator(*_names(WITH_A_SCALAR))
def with_a_scalar(w: Writing) -> list[str]:
    return w.node(_which(WITH_A_SCALAR, w.op), w.inputs[0], w.scalar(w.told.real("scalar")))


@operator(*_names(FROM_A_SCALAR))
def from_a_scalar(w: Writing) -> list[str]:
    return w.node(_which(FROM_A_SCALAR, w.op), w.scalar(w.told.real("scalar")), w.inputs[0])


@operator(*_names(UNARY))
def unary(w: Writing) -> list[str]:
    return w.node(_which(UNARY, w.op), w.inputs[0])


@operator("add_n", "ElementWiseSum")
def add_all(w: Writing) -> list[str]:
    return w.node("Sum", *w.inputs)


@operator("square")
def square(w: Writing) -> list[str]:
    return w.node("Mul", w.inputs[0], w.inputs[0])


@operator("rsqrt")
def reciprocal_of_root(w: Writing) -> list[str]:
    return w.node("Reciprocal", w.one("Sqrt", w.inputs[0]))


@operator("hard_sigmoid")
def hard_sigmoid(w: Writing) -> list[str]:
    return w.node("HardSigmoid", w.inputs[0], alpha=w.told.real("alpha", 0.2), beta=w.told.real("beta", 0.5))


@operator("clip")
def clip(w: Writing) -> list[str]:
    return w.node("Clip", w.inputs[0], w.scalar(w.told.real("a_min")), w.scalar(w.told.real("a_max")))


@operator("where")
def where(w: Writing) -> list[str]:
    return w.node("Where", w.one("Cast", w.inputs[0], to=9), *w.inputs[1:])


@operator("zeros_like", "ones_like")
def filled_like(w: Writing) -> list[str]:
    nothing = w.one("Mul", w.inputs[0], w.scalar(0))
    return [nothing] if w.op == "zeros_like" else w.node("Add", nothing, w.scalar(1))


@operator("_zeros", "_ones", "_full")
def filled(w: Writing) -> list[str]:
    """A length of 0 is one that MXNet finds out (the batch of a first state): one, which stretches."""
    shape = [max(1, length) for length in w.told.shape("shape")]
    value = {"_zeros": 0.0, "_ones": 1.0}.get(w.op)
    return [w.constant(np.full(shape, w.told.real("value") if value is None else value, np.float32))]


@operator("Cast", "cast")
def cast(w: Writing) -> list[str]:
    try:
        kind = np.dtype(w.told.text("dtype"))
    except TypeError:
        raise w.refused(f"the type {w.told.text('dtype')} is not imported") from None
    return w.node("Cast", w.inputs[0], to=helper.np_dtype_to_tensor_dtype(kind))
