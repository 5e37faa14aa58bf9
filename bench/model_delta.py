"""What comes down of a model's next version where a core has the one before, in bytes.

    .venv/bin/python bench/model_delta.py

Real ONNX files of 26 MB; the region's list of blocks is counted with what comes. Nothing here depends on the machine.
"""

from __future__ import annotations

import json
import time

import numpy as np
import onnx
from onnx import numpy_helper

from littoral.protocols.blocks import Block, Cutter, Held, Manifest
from nets import Layer, Net

LAYERS, WIDTH = 10, 806


def deep() -> bytes:
    """Ten dense layers, 26 MB."""
    layers = tuple(Layer("dense", (WIDTH, WIDTH), seed=number) for number in range(LAYERS))
    return Net("deep", (WIDTH,), WIDTH, layers).onnx()


def blocks_of(data: bytes) -> list[Block]:
    cutter = Cutter()
    return [*cutter.feed(data), *cutter.end()]


def trained(data: bytes, layers: int, more: str = "") -> bytes:
    """Other weights in so many of its layers; ``more``: words in the head of the file, which moves all the rest."""
    made = onnx.load_model_from_string(data)
    made.producer_version = more
    for tensor in made.graph.initializer[LAYERS - layers :]:
        others = numpy_helper.to_array(tensor) * np.float32(1.001)
        tensor.CopyFrom(numpy_helper.from_array(others.astype(np.float32), tensor.name))
    return bytes(made.SerializeToString())


def integers(seed: int, changed: bool) -> bytes:
    """26 million weights of 8 bits in ten layers, of which one is another."""
    layers = [np.random.default_rng(seed + number).normal(0, 35, 2_600_000) for number in range(10)]
    if changed:
        layers[4] = np.random.default_rng(seed + 100).normal(0, 35, 2_600_000)
    return b"head" * (2 if changed else 1) + np.concatenate(layers).clip(-127, 127).astype(np.int8).tobytes()


def told(what: str, old: bytes, new: bytes) -> None:
    held, at = {}, 0
    for block in blocks_of(old):
        held[block.digest] = Held(0, at)
        at += block.length
    begun = time.process_time()
    manifest = Manifest(tuple(blocks_of(new)))
    seconds = time.process_time() - begun
    listed = len(json.dumps(manifest.document, separators=(",", ":")))
    coming = [step.length for step in manifest.steps(held, 0) if step.held is None]
    print(
        f"{what:42} {len(new) / 1e6:6.2f} MB: {sum(coming) / 1e6:6.2f} MB in {len(coming)} requests, "
        f"{listed / 1e3:.0f} KB of list; {100 * (sum(coming) + listed) / len(new):.1f} %; cut in {seconds:.2f} s"
    )


def main() -> None:
    model = deep()
    told("the same, with other words in its head", model, trained(model, 0, "2.0"))
    told("the last layer of ten is another", model, trained(model, 1, "2.0"))
    told("all layers are others", model, trained(model, LAYERS))
    told("8-bit integers, one layer of ten", integers(1, False), integers(1, True))


if __name__ == "__main__":
    main()
