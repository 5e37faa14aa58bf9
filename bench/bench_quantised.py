"""What 8-bit integers gain where the arithmetic is: two nets as given and as ``littoral models quantise`` makes them.

``.venv/bin/python bench/bench_quantised.py`` makes a convolutional net (eight layers of 64 channels on 28 x 28) and a
dense one (four layers of 2,048), quantises both, and asks each form in turn on one thread: CPU milliseconds of an
answer, so that what else the machine does is not counted. Goal: the better of the integer forms at least 1.5 x as fast
as the float one, where the CPU has AVX2 or better. The difference is of the answers, as a share of their root mean
square; weights are random, so it says how well numbers are kept and nothing of accuracy. The peer is ONNX Runtime's own
float form.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from littoral.models.optimising.calibration import read_samples
from littoral.models.optimising.engine import session
from littoral.models.optimising.measuring import difference
from littoral.models.optimising.opening import read_model
from littoral.models.optimising.quantising import METHODS, made

GOAL = 1.5
ROUNDS = 9
SECONDS = 0.2  # of each form in a round
CHANCE = np.random.default_rng(8)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    values = CHANCE.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def net(name: str, shape: list[int], nodes: list[Any], weights: list[onnx.TensorProto], last: str) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ["N", *shape])
    answer = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, name, [given], [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def convolutions(layers: int = 8, width: int = 64) -> onnx.ModelProto:
    nodes, weights, last, before = [], [], "given", 3
    for n in range(layers):
        weights.append(weight(f"w{n}", width, before, 3, 3))
        nodes.append(helper.make_node("Conv", [last, f"w{n}"], [f"c{n}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
        last, before = f"r{n}", width
    weights.append(weight("out", 10, width))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "out"], ["scores"], transB=1))
    return net("convolutions", [3, 28, 28], nodes, weights, "scores")


def dense(layers: int = 4, width: int = 2048) -> onnx.ModelProto:
    nodes, weights, last = [], [], "given"
    for n in range(layers):
        weights.append(weight(f"w{n}", width, width))
        nodes.append(helper.make_node("Gemm", [last, f"w{n}"], [f"g{n}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"g{n}"], [f"r{n}"]))
        last = f"r{n}"
    weights.append(weight("out", 10, width))
    nodes.append(helper.make_node("Gemm", [last, "out"], ["scores"], transB=1))
    return net("dense", [width], nodes, weights, "scores")


def forms(model: onnx.ModelProto, samples: Any, folder: Path) -> dict[str, bytes]:
    onnx.save(model, folder / "net.onnx")
    np.savez(folder / "samples.npz", given=samples)
    whole = read_model(folder / "net.onnx")
    calibrating = read_samples(folder / "samples.npz", whole)
    return {method: made(whole, method, calibrating) for method in METHODS}


def compare(model: onnx.ModelProto, shape: tuple[int, ...], batch: int) -> float:
    samples = CHANCE.standard_normal((16, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        made_forms = forms(model, samples, Path(folder))
    sessions = {name: session(onnx.ModelProto.FromString(whole)) for name, whole in made_forms.items()}
    asked = {"given": CHANCE.standard_normal((batch, *shape)).astype(np.float32)}
    answers = {name: each.run(None, asked)[0].astype(np.float64) for name, each in sessions.items()}
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, each in sessions.items():
            taken[name].append(milliseconds(each, asked))
    median = {name: statistics.median(times) for name, times in taken.items()}
    for name, whole in made_forms.items():
        ratio = median["float"] / median[name]
        apart = difference(answers[name], answers["float"])
        print(
            f"{model.graph.name:12} batch {batch:2}  {name:8} {median[name]:8.3f} ms  {ratio:5.2f} x  "
            f"{len(whole) / 1e6:6.2f} MB  difference {apart:.4f}",
            flush=True,
        )
    return max(median["float"] / median[name] for name in ("static", "dynamic"))


def milliseconds(each: Any, asked: dict[str, Any]) -> float:
    """CPU time of one answer."""
    begun, count = time.process_time(), 0
    while (took := time.process_time() - begun) < SECONDS:
        each.run(None, asked)
        count += 1
    return took / count * 1000


def main() -> int:
    found = {
        "convolutions": compare(convolutions(), (3, 28, 28), 1),
        "dense": min(compare(dense(), (2048,), 1), compare(dense(), (2048,), 32)),
    }
    print(", ".join(f"{name} {ratio:.2f} x" for name, ratio in found.items()), f"(goal {GOAL} x)")
    return 0 if min(found.values()) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
