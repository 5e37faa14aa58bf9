"""The fused recurrent layers (``RNN``): one vector of weights of MXNet's becomes the matrices of ONNX's layers.

The vector has, for each layer and direction, the weights of the input and of the state; then, in the same order, the
biases of both. The gates of an LSTM stand as input, forget, cell, output (ONNX: input, output, forget, cell), those of
a GRU as reset, update, new (ONNX: update, reset, new, with the reset applied after the product).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from littoral.models.mxnet.params import Array
from littoral.models.mxnet.writing import Writing, operator


@dataclass(frozen=True)
class Mode:
    """A kind of recurrent layer: its ONNX operator, and MXNet's gates in ONNX's order."""

    op: str
    gates: tuple[int, ...]
    told: tuple[tuple[str, object], ...] = ()


MODES: Final = {
    "lstm": Mode("LSTM", (0, 3, 1, 2)),
    "gru": Mode("GRU", (1, 0, 2), (("linear_before_reset", 1),)),
    "rnn_tanh": Mode("RNN", (0,)),
    "rnn_relu": Mode("RNN", (0,)),
}


@operator("_rnn_param_concat")
def param_concat(w: Writing) -> list[str]:
    parts = [w.known(place, "weights") for place in range(len(w.inputs))]
    return [w.constant(np.concatenate(parts, axis=w.told.integer("dim", 1)))]


@operator("RNN")
def rnn(w: Writing) -> list[str]:
    w.refuse("projection_size", unless="None")
    w.refuse("use_sequence_length", unless="False")
    w.refuse("lstm_state_clip_min", unless="None")
    mode = MODES.get(w.told.text("mode"))
    if mode is None:
        raise w.refused(f"mode={w.told.text('mode')} is not imported")
    layers, directions = w.told.integer("num_layers"), 1 + w.told.flag("bidirectional")
    weights = _Weights(w, mode, w.told.integer("state_size"), layers, directions)
    states = [_split(w, state, layers) for state in w.inputs[2:]]
    data = w.inputs[0]
    last: list[list[str]] = []
    for layer in range(layers):
        data, *ends = _layer(w, mode, weights, layer, data, [state[layer] for state in states])
        last.append(ends)
    if not w.told.flag("state_outputs"):
        return [data]
    return [data, *(w.one("Concat", *ends, axis=0) for ends in zip(*last, strict=True))]


def _layer(w: Writing, mode: Mode, weights: _Weights, layer: int, data: str, states: list[str]) -> list[str]:
    """Its output (time, batch, directions x state) and its last states."""
    told = dict(mode.told)
    if w.told.text("mode") == "rnn_relu":
        told["activations"] = ["Relu"] * weights.directions
    matrices = [w.constant(matrix) for matrix in weights.of(layer)]
    whole, *ends = w.node(
        mode.op,
        data,
        *matrices,
        "",
        *states,
        outputs=3 if mode.op == "LSTM" else 2,
        hidden_size=weights.size,
        direction="bidirectional" if weights.directions == 2 else "forward",
        **told,
    )
    return [w.one("Reshape", w.one("Transpose", whole, perm=[0, 2, 1, 3]), w.integers(0, 0, -1)), *ends]


def _split(w: Writing, state: str, layers: int) -> list[str]:
    """The first states, by layer. One that is all zeros is left out: so ONNX begins, whatever the batch."""
    if state in w.sheet.known and not w.sheet.known[state].any():
        return [""] * layers
    return w.node("Split", state, outputs=layers, axis=0)


class _Weights:
    def __init__(self, w: Writing, mode: Mode, size: int, layers: int, directions: int) -> None:
        self.size = size
        self.directions = directions
        self._mode = mode
        self._rows = rows = len(mode.gates) * size
        vector = w.known(1, "vector of weights").reshape(-1)
        deeper = (layers - 1) * directions * rows * (directions * size + size)
        first = vector.size - deeper - layers * directions * 2 * rows
        width, rest = divmod(first, directions * rows)
        if rest or width <= size:
            raise w.refused(f"its vector of weights has {vector.size} numbers, which fits no input")
        self._widths = [width - size] + [directions * size] * (layers - 1)
        self._vector = vector

    def of(self, layer: int) -> tuple[Array, Array, Array]:
        """ONNX's W, R and B of a layer, by direction."""
        inputs, states, biases = [], [], []
        at = sum(self.directions * self._rows * (width + self.size) for width in self._widths[:layer])
        end = sum(self.directions * self._rows * (width + self.size) for width in self._widths)
        width = self._widths[layer]
        for direction in range(self.directions):
            inputs.append(self._gates(at, width))
            states.append(self._gates(at + self._rows * width, self.size))
            at += self._rows * (width + self.size)
            bias = end + (layer * self.directions + direction) * 2 * self._rows
            both = [self._gates(bias, 1), self._gates(bias + self._rows, 1)]
            biases.append(np.concatenate(both).reshape(-1))
        return np.stack(inputs), np.stack(states), np.stack(biases)

    def _gates(self, at: int, width: int) -> Array:
        """A matrix of the vector, its gates in ONNX's order."""
        matrix = self._vector[at : at + self._rows * width].reshape(len(self._mode.gates), self.size, width)
        return matrix[list(self._mode.gates)].reshape(self._rows, width)
