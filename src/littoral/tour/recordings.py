"""Real photoplethysmogram recordings: those that ship inside the PyPI package ``heartpy``, or a CSV of the user's.

``data3.csv`` (a drive, 11 minutes, 100.4 Hz) and ``data2.csv`` (128 s, 117 Hz; a usable pulse from 40 s on).
"""

from __future__ import annotations

import csv
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

MINIMUM_POINTS = 1200  # a patient's points a day in the deck's Philips case


class RecordingError(Exception):
    """A recording that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One patient's signal."""

    name: str
    rate: float  # samples a second
    samples: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


# (file, column, rate in Hz, first second): one patient each
SHIPPED = (
    ("data3.csv", "hr", 100.42, 0.0),
    ("data2.csv", "hr", 117.0, 40.0),
    ("data3.csv", "hr", 100.42, 200.0),
    ("data3.csv", "hr", 100.42, 400.0),
    ("data3.csv", "hr", 100.42, 100.0),
    ("data3.csv", "hr", 100.42, 300.0),
    ("data3.csv", "hr", 100.42, 500.0),
    ("data3.csv", "hr", 100.42, 580.0),
)


def shipped(patients: int, seconds: float) -> list[Recording]:
    """The first ``seconds`` of so many of heartpy's recordings. Raises RecordingError."""
    spec = importlib.util.find_spec("heartpy")
    if spec is None or spec.origin is None:
        raise RecordingError("the recordings come with the PyPI package heartpy: pip install 'littoral[tour]'")
    if not 1 <= patients <= len(SHIPPED):
        raise RecordingError(f"--patients must be 1 to {len(SHIPPED)} with the shipped recordings")
    folder = Path(spec.origin).parent / "data"
    return [
        cut(read_csv(folder / file, column, rate), start, seconds) for file, column, rate, start in SHIPPED[:patients]
    ]


def read_csv(file: Path, column: str, rate: float) -> Recording:
    """One column of a CSV with a header line. Raises RecordingError with the line that offends."""
    if not 0 < rate < math.inf:  # nan compares to nothing
        raise RecordingError(f"--rate must be greater than 0, not {rate}")
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            if column not in (rows.fieldnames or ()):
                known = ", ".join(rows.fieldnames or ()) or "none"
                raise RecordingError(f"{file} has no column {column!r}; its columns: {known}")
            samples = tuple(number(row[column], file, rows.line_num) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise RecordingError(f"cannot read {file}: {problem}") from problem
    return Recording(file.stem, rate, samples)


def number(text: str | None, file: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordingError(f"{file}, line {line}: {text!r} is not a number")
    return value


def cut(whole: Recording, start: float, seconds: float) -> Recording:
    """A stretch of a recording. Raises RecordingError where fewer than 1,200 points are left."""
    first = int(start * whole.rate)
    samples = whole.samples[first : first + int(seconds * whole.rate)]
    if len(samples) < MINIMUM_POINTS:
        raise RecordingError(f"{whole.name}: {len(samples)} points; a patient needs at least {MINIMUM_POINTS}")
    return Recording(whole.name, whole.rate, samples)
