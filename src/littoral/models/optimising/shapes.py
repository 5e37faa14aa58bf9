"""A model's open lengths made fixed, so that what depends on them is worked out once and ahead of time."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_dim_param_fixed

from littoral.models.optimising.refusal import CannotOptimise


def open_lengths(model: onnx.ModelProto) -> set[str]:
    """The names of the lengths that the inputs leave open."""
    dims = [dim for value in model.graph.input for dim in value.type.tensor_type.shape.dim]
    return {dim.dim_param for dim in dims if dim.dim_param}


def fix(model: onnx.ModelProto, lengths: Mapping[str, int]) -> None:
    """Give open lengths a number. Raises CannotOptimise where the model has no such length, or none is positive."""
    known = open_lengths(model)
    for name, length in lengths.items():
        if name not in known:
            raise CannotOptimise(f"the model has no open length {name}; it has {', '.join(sorted(known)) or 'none'}")
        if not 0 < length < 2**31:
            raise CannotOptimise(f"{name} must be 1 or more, not {length}")
        make_dim_param_fixed(model.graph, name, length)
    if lengths:
        fix_output_shapes(model)
