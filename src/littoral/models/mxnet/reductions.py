"""Operators that make one of many: sums and the like over axes, products of matrices."""

from __future__ import annotations

from typing import Any

from littoral.models.mxnet.writing import FLOAT, Writing, operator

REDUCING = {
    "sum": "ReduceSum",
    "sum_axis": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "max_axis": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "norm": "ReduceL2",
}


@operator(*REDUCING)
def reduce(w: Writing) -> list[str]:
    w.refuse("ord", unless="2")
    axes, keep = list(w.told.shape("axis")), int(w.told.flag("keepdims"))
    if w.told.flag("exclude"):
        rank = w.rank(w.inputs[0])
        axes = sorted(set(range(rank)) - {axis % rank for axis in axes})
    op = REDUCING[w.op]
    if op == "ReduceSum":  # takes its axes as an input
        return w.node(op, w.inputs[0], *([w.integers(*axes)] if axes else []), keepdims=keep)
    told: dict[str, Any] = {"axes": axes} if axes else {}
    return w.node(op, w.inputs[0], keepdims=keep, **told)


@operator("argmax", "argmin")
def place_of(w: Writing) -> list[str]:
    """MXNet counts in floats."""
    op = "ArgMax" if w.op == "argmax" else "ArgMin"
    place = w.one(op, w.inputs[0], axis=w.told.integer("axis"), keepdims=int(w.told.flag("keepdims")))
    return w.node("Cast", place, to=FLOAT)


@operator("dot")
def dot(w: Writing) -> list[str]:
    if any(w.rank(each) != 2 for each in w.inputs):
        raise w.refused("only products of two matrices are imported")
    return _product(w)


@operator("batch_dot", "linalg_gemm2")
def batch_dot(w: Writing) -> list[str]:
    w.refuse("alpha", unless="1.0")
    return _product(w)


def _product(w: Writing) -> list[str]:
    sides = [
        _turned(w, each) if w.told.flag(name) else each
        for each, name in zip(w.inputs, ("transpose_a", "transpose_b"), strict=True)
    ]
    return w.node("MatMul", *sides)


def _turned(w: Writing, matrix: str) -> str:
    *rest, rows, columns = range(w.rank(matrix))
    return w.one("Transpose", matrix, perm=[*rest, columns, rows])
