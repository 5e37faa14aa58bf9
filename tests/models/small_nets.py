"""Nets small enough to quantise in a moment, and samples for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def weight(name: str, *shape: int) -> onnx.TensorProto:
    values = np.random.default_rng(shape).standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def image_net() -> onnx.ModelProto:
    """(N, 3, 8, 8) to (N, 4): two convolutions and a dense layer."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Flatten", ["r2"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "image_net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4])],
        [weight("w1", 16, 3, 3, 3), weight("w2", 16, 16, 3, 3), weight("w3", 4, 256)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def images(count: int) -> Any:
    return np.random.default_rng(1).standard_normal((count, 3, 8, 8)).astype(np.float32)


def saved(folder: Path, **arrays: Any) -> tuple[Path, Path]:
    """The image net and samples for it, as files; ``arrays`` in place of 40 images without labels."""
    model, samples = folder / "net.onnx", folder / "samples.npz"
    onnx.save(image_net(), model)
    np.savez(samples, **(arrays or {"image": images(40)}))
    return model, samples
