"""Another engine's part of bench_models.py, in whatever Python has it: ``python engine_peer.py torch|mxnet NET.npz``.

NET.npz has ``layers`` (JSON: kinds, strides) and the weights w0, w1, …; ``x`` is an example. It says its version and
what it answers for the example; then, for each line ``BATCH SECONDS`` that it reads, how many batches it ran in how
long.
PyTorch runs eagerly, MXNet its symbolic executor; both on one thread.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

Layers = Sequence[dict[str, Any]]
Made = tuple[str, Callable[[Any], Callable[[], Any]]]  # its version; and of an example, what answers it


def of_torch(layers: Layers, weights: Sequence[Any]) -> Made:
    import torch

    torch.set_num_threads(1)
    functional = torch.nn.functional
    given = [torch.from_numpy(each) for each in weights]

    def run(x: Any) -> Any:
        of = iter(given)
        for layer in layers:
            if layer["kind"] == "dense":
                x = functional.linear(x, next(of))
            elif layer["kind"] == "conv":
                x = functional.conv2d(x, next(of), stride=layer["stride"], padding=1)
            elif layer["kind"] == "relu":
                x = functional.relu(x)
            else:
                x = x.mean((2, 3))
        return x

    def prepared(example: Any) -> Callable[[], Any]:
        shown = torch.from_numpy(example)

        def once() -> Any:
            with torch.inference_mode():
                return run(shown).numpy()

        return once

    return f"PyTorch {torch.__version__}", prepared


def of_mxnet(layers: Layers, weights: Sequence[Any]) -> Made:
    import mxnet

    symbol = mxnet.sym.var("x")
    params: dict[str, Any] = {}
    of = iter(weights)
    for at, layer in enumerate(layers):
        name = f"w{at}"
        if layer["kind"] in {"dense", "conv"}:
            params[name] = mxnet.nd.array(next(of))
        if layer["kind"] == "dense":
            symbol = mxnet.sym.FullyConnected(
                symbol, weight=mxnet.sym.var(name), num_hidden=params[name].shape[0], no_bias=True
            )
        elif layer["kind"] == "conv":
            filters, (down, right) = params[name].shape[0], params[name].shape[2:]
            symbol = mxnet.sym.Convolution(
                *(symbol, mxnet.sym.var(name)),
                num_filter=filters,
                kernel=(down, right),
                stride=(layer["stride"],) * 2,
                pad=(1, 1),
                no_bias=True,
            )
        elif layer["kind"] == "relu":
            symbol = mxnet.sym.Activation(symbol, act_type="relu")
        else:
            symbol = mxnet.sym.Flatten(mxnet.sym.Pooling(symbol, global_pool=True, pool_type="avg", kernel=(1, 1)))

    def prepared(example: Any) -> Callable[[], Any]:
        shown = mxnet.nd.array(example)
        executor = symbol.bind(mxnet.cpu(), {**params, "x": shown}, grad_req="null")

        def once() -> Any:
            return executor.forward(is_train=False)[0].asnumpy()

        return once

    return f"MXNet {mxnet.__version__}", prepared


def main(engine: str, file: str) -> None:
    kept = np.load(file)
    layers = json.loads(str(kept["layers"]))
    count = sum(layer["kind"] in {"dense", "conv"} for layer in layers)
    made = of_torch if engine == "torch" else of_mxnet
    version, prepared = made(layers, [kept[f"w{at}"] for at in range(count)])
    print(json.dumps({"version": version, "answer": prepared(kept["x"])().tolist()}), flush=True)
    batches: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        batch, seconds = line.split()
        once = batches.get(batch)
        if once is None:
            once = batches[batch] = prepared(np.repeat(kept["x"], int(batch), axis=0))
            once()
        began, ran = time.perf_counter(), 0
        while time.perf_counter() - began < float(seconds):
            once()
            ran += 1
        print(json.dumps([ran, time.perf_counter() - began]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
