"""Nets with weights by chance, that every engine can be given alike: as ONNX, and as layers with their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Layer:
    """``kind``: dense and conv (3 × 3, a border of one) have weights; relu; pool, the mean of each channel."""

    kind: str
    shape: tuple[int, ...] = ()
    stride: int = 1
    seed: int = 7

    def weights(self) -> np.ndarray[Any, Any]:
        scale = np.float32(1.0 / np.sqrt(np.prod(self.shape[1:])))
        return np.random.default_rng(self.seed).standard_normal(self.shape).astype(np.float32) * scale


@dataclass(frozen=True)
class Net:
    name: str
    width: tuple[int, ...]  # of an input, without the batch
    answers: int
    layers: tuple[Layer, ...]

    def onnx(self) -> bytes:
        nodes: list[Any] = []
        inside: list[Any] = []
        before = "x"
        for at, layer in enumerate(self.layers):
            after = "y" if at + 1 == len(self.layers) else f"v{at}"
            if layer.shape:
                inside.append(numpy_helper.from_array(layer.weights(), f"w{at}"))
            nodes += _nodes(layer, before, f"w{at}", after)
            before = after
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", self.answers])],
            inside,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return bytes(model.SerializeToString())

    def save(self, file: Path, example: np.ndarray[Any, Any]) -> None:
        """For ``engine_peer.py``."""
        weights = [layer.weights() for layer in self.layers if layer.shape]
        layers = json.dumps([{"kind": layer.kind, "stride": layer.stride} for layer in self.layers])
        arrays: dict[str, Any] = {f"w{at}": each for at, each in enumerate(weights)}
        np.savez(file, layers=layers, x=example, **arrays)


def _nodes(layer: Layer, before: str, weights: str, after: str) -> list[Any]:
    match layer.kind:
        case "dense":
            return [helper.make_node("Gemm", [before, weights], [after], transB=1)]
        case "conv":
            strides = [layer.stride] * 2
            return [helper.make_node("Conv", [before, weights], [after], pads=[1, 1, 1, 1], strides=strides)]
        case "relu":
            return [helper.make_node("Relu", [before], [after])]
    pooled = f"{after}p"
    return [
        helper.make_node("GlobalAveragePool", [before], [pooled]),
        helper.make_node("Flatten", [pooled], [after]),
    ]


def dense(name: str, width: int, hidden: int) -> Net:
    """Two layers of weights, width × hidden each."""
    layers = (Layer("dense", (hidden, width)), Layer("relu"), Layer("dense", (width, hidden)))
    return Net(name, (width,), width, layers)


def convolutional(name: str) -> Net:
    """Eight layers of 64 channels on images of 3 × 64 × 64."""
    layers: list[Layer] = []
    for at in range(8):
        layers += [Layer("conv", (64, 64 if at else 3, 3, 3), 2 if at in {1, 4} else 1), Layer("relu")]
    return Net(name, (3, 64, 64), 64, (*layers, Layer("pool")))


def bare(data: bytes, threads: int) -> Any:
    """ONNX Runtime's session, with so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
