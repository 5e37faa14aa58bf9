"""The same nets in other engines, for bench_models.py: PyTorch eagerly, MXNet's executor, ONNX Runtime bare, and ours.

Each engine is in a process of its own (``engine_peer.py``) but ONNX Runtime; they take turns, one thread each. What
is not installed is left out, with a word. MXNet wants a numpy of its time:

    python3 -m venv /tmp/mx && /tmp/mx/bin/pip install mxnet==1.9.1 numpy==1.23.5
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from littoral.models import load
from nets import Net, bare

PEER = Path(__file__).with_name("engine_peer.py")
BATCHES = (1, 32)
APART = 1e-3  # of the largest answer

Turn = Callable[[int, float], float]  # a batch and seconds to rows a second


class Missing(Exception):
    """The engine is not installed there."""


class Peer:
    """Another engine, in a Python that has it."""

    def __init__(self, engine: str, python: str, file: Path, wanted: np.ndarray[Any, Any]) -> None:
        """Raises Missing, and ValueError where it answers otherwise."""
        try:
            self._process = subprocess.Popen(
                [python, str(PEER), engine, str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as problem:
            raise Missing(str(problem)) from problem
        assert self._process.stdout is not None and self._process.stderr is not None
        first = self._process.stdout.readline()
        if not first:
            words = self._process.stderr.read().strip().splitlines()
            self.close()
            raise Missing(words[-1] if words else "it ended")
        told = json.loads(first)
        self.name = str(told["version"])
        apart = float(np.abs(np.array(told["answer"]) - wanted).max() / np.abs(wanted).max())
        if apart > APART:
            self.close()
            raise ValueError(f"{self.name} answers otherwise: {apart:.1e} of the largest answer")

    def turn(self, batch: int, seconds: float) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(batch, seconds, file=self._process.stdin, flush=True)
        ran, took = json.loads(self._process.stdout.readline())
        return float(batch * ran / took)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def here(session: Callable[[np.ndarray[Any, Any]], Any], example: np.ndarray[Any, Any]) -> Turn:
    """The same of what runs in this process."""

    def turn(batch: int, seconds: float) -> float:
        rows, ran = np.repeat(example, batch, axis=0), 0
        session(rows)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            session(rows)
            ran += 1
        return batch * ran / (time.perf_counter() - began)

    return turn


def compare(net: Net, folder: Path, pythons: dict[str, str], seconds: float, rounds: int) -> None:
    """Prints a line for each engine: rows a second at each batch, as a part of what bare ONNX Runtime does."""
    example = np.random.default_rng(3).standard_normal((1, *net.width)).astype(np.float32)
    file = folder / f"{net.name}.npz"
    net.save(file, example)
    model = folder / f"{net.name}.onnx"
    model.write_bytes(net.onnx())
    session, loaded = bare(net.onnx(), 1), load(model, threads=1)
    engines: dict[str, Turn] = {
        "ONNX Runtime, bare": here(lambda rows: session.run(["y"], {"x": rows}), example),
        "littoral.models.load": here(loaded, example),
    }
    with contextlib.ExitStack() as stack:
        for peer in _peers(pythons, file, session.run(["y"], {"x": example})[0]):
            stack.callback(peer.close)
            engines[peer.name] = peer.turn
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for batch in BATCHES:
                for name, turn in engines.items():
                    found.setdefault((name, batch), []).append(turn(batch, seconds))
    for name in engines:
        cells = []
        for batch in BATCHES:
            own, base = found[name, batch], found["ONNX Runtime, bare", batch]
            ratio = statistics.median(mine / theirs for mine, theirs in zip(own, base, strict=True))
            cells.append(f"batch {batch:2}: {statistics.median(own):9.0f} rows/s {ratio:6.2f}")
        print(f"engines, {net.name:12} {name:22} {'   '.join(cells)}", flush=True)


def _peers(pythons: dict[str, str], file: Path, wanted: np.ndarray[Any, Any]) -> Iterator[Peer]:
    for engine, python in pythons.items():
        try:
            yield Peer(engine, python, file, wanted)
        except Missing as problem:
            print(f"engines: {engine} is left out: {python}: {problem}")
