"""The recordings the model is made of and held against: heartpy's (MIT licence), with what a person sees in them.

They have no annotations. So the stretches without a usable pulse were marked by eye, before any model was trained. A
recording's people: ``data3`` is a driver, ``data2`` and ``data`` are others. The model is trained on the first 400 s of
``data3``, its thresholds are chosen on the next 80 s, and it is held against all else.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from littoral.tour.recordings import RecordingError, read_csv
from littoral.tour.ward.pulse import RATE, Signal, resampled

Stretch = tuple[float, float]

UNUSABLE: dict[str, tuple[Stretch, ...]] = {  # seconds
    "data": (),
    "data2": ((0, 46.6), (64, 65.4), (78.2, 80.2), (102.5, 104.5), (120.8, 122.2)),
    "data3": (
        *((9, 12), (154.4, 157), (164.3, 166.5), (168.8, 171), (193, 194.4), (213.6, 215.2), (226.4, 227.8)),
        *((233.2, 234.9), (240.1, 243), (293.8, 294.8), (310.9, 317), (332.8, 333.6), (386, 390), (407.7, 409.6)),
        *((429, 429.6), (444.5, 445.4), (447, 449), (455.4, 456.9), (461.4, 462.4), (464.5, 465.6), (495.8, 496.4)),
        *((497.4, 508.6), (519.2, 519.9), (526.5, 528), (534.2, 536.6), (571, 574.4), (593.8, 597.2), (599.2, 618)),
        *((674.8, 678.4),),
    ),
}
FILES = {"data": ("data.csv", 100.0), "data2": ("data2.csv", 117.0), "data3": ("data3.csv", 100.42)}
TRAINING = ("data3", 0.0, 400.0)
CHOOSING = ("data3", 400.0, 480.0)
HELD_OUT = (("data3", 480.0, 682.0), ("data2", 0.0, 128.0), ("data", 0.0, 24.8))


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a recording at 32 samples a second, and which of its samples a person would not use."""

    name: str
    signal: Signal
    unusable: np.typing.NDArray[np.bool_]


def part(folder: Path, name: str, start: float, end: float) -> Part:
    """Raises RecordingError."""
    file, rate = FILES[name]
    if name == "data":  # one column without a name
        samples = np.loadtxt(folder / file, skiprows=0)
    else:
        samples = np.array(read_csv(folder / file, "hr", rate).samples)
    signal = resampled(samples, rate)
    bad = np.zeros(len(signal), np.bool_)
    for first, last in UNUSABLE[name]:
        bad[int(first * RATE) : int(np.ceil(last * RATE))] = True
    cut = slice(int(start * RATE), int(end * RATE))
    return Part(name, signal[cut], bad[cut])


def shipped_folder() -> Path:
    """Where heartpy keeps its recordings. Raises RecordingError."""
    heartpy = importlib.util.find_spec("heartpy")
    if heartpy is None or heartpy.origin is None:
        raise RecordingError("the recordings come with the PyPI package heartpy: pip install 'littoral[tour]'")
    return Path(heartpy.origin).parent / "data"
