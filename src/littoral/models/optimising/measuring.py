"""What a model is worth in a place: how right it is, how long an answer takes, how much memory and room it takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from littoral.models.optimising.calibration import Samples
from littoral.models.optimising.engine import answers, session
from littoral.models.optimising.refusal import CannotOptimise

ROUNDS = 7  # of each model in turn, so that what else the machine does falls on all alike
ROUND = 0.05  # seconds


def first_answers(file: Path, samples: Samples) -> np.typing.NDArray[np.float64]:
    """The model's first answer to every sample. Raises CannotOptimise."""
    asked = session(file)
    parts = [answers(asked, batch)[0] for batch in samples.batches()]
    try:
        whole = np.concatenate(parts).astype(np.float64)
    except (ValueError, TypeError) as problem:
        raise CannotOptimise("the model's first answer has no first axis for samples, or is no number") from problem
    if len(whole) != sum(len(next(iter(batch.values()))) for batch in samples.batches()):
        raise CannotOptimise(f"the model's first answer has {len(whole)} rows, not one a sample")
    return whole


def difference(found: np.typing.NDArray[np.float64], wanted: np.typing.NDArray[np.float64]) -> float:
    """Root mean square of the difference as a share of that of what is wanted; infinite where it is no number."""
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    size = float(np.sqrt(np.mean(wanted**2)))
    return float(np.sqrt(np.mean((found - wanted) ** 2))) / (size or 1.0)


def accuracy(found: np.typing.NDArray[np.float64], labels: np.typing.NDArray[Any]) -> float:
    """Share of answers that are right.

    Labels of one number a sample: the place of the largest answer. Labels of the answer's shape: whether each is
    above a half. Raises CannotOptimise for any other labels.
    """
    labels = labels[: len(found)]
    if labels.ndim == 1 and found.ndim == 2 and found.shape[1] > 1:
        return float(np.mean(np.argmax(found, axis=1) == labels))
    if labels.shape == found.shape:
        return float(np.mean((found > 0.5) == (labels > 0.5)))
    raise CannotOptimise(f"labels of shape {list(labels.shape)} do not fit answers of shape {list(found.shape)}")


def latencies(files: list[Path], samples: Samples) -> list[float]:
    """Milliseconds of one answer to one sample (or to the fixed batch) on one thread: the median of each model."""
    asked = {name: array[: _least(samples)] for name, array in samples.inputs.items()}
    sessions = [session(file) for file in files]
    taken: list[list[float]] = [[] for _ in files]
    for _ in range(ROUNDS):
        for each, times in zip(sessions, taken, strict=True):
            answers(each, asked)
            end = time.perf_counter() + ROUND
            while True:
                began = time.perf_counter()
                each.run(None, asked)
                times.append((time.perf_counter() - began) * 1000)
                if time.perf_counter() > end:
                    break
    return [statistics.median(times) for times in taken]


def _least(samples: Samples) -> int:
    return samples.batch if samples.fixed else 1


def memory(file: Path, samples: Samples) -> float:
    """MiB by which a process grows, at its peak, that loads the model and answers once. Raises CannotOptimise."""
    with tempfile.TemporaryDirectory(prefix="littoral-measure-") as folder:
        asked = Path(folder) / "asked.npz"
        np.savez(asked, **{name: array[: _least(samples)] for name, array in samples.inputs.items()})  # type: ignore[arg-type]
        command = [sys.executable, "-m", "littoral.models.optimising.growth", str(file), str(asked)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise CannotOptimise(f"the model does not answer in a process of its own: {done.stderr.strip()[-200:]}")
    return int(done.stdout) / 1024
