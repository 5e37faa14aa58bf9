"""``littoral tour``: what a person may choose of it. ``whole.py`` is the tour, and is imported when one begins."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from littoral.tour import recordings


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="littoral tour", description="Run the main job end to end on recorded patients and say what was seen."
    )
    options.add_argument("--speed", type=float, default=4.0, help="times real time (default: %(default)s)")
    options.add_argument("--patients", type=int, default=4, help="beds, with the shipped recordings (default: 4)")
    options.add_argument("--seconds", type=float, default=88.0, help="of recording per patient (default: 88)")
    options.add_argument("--recording", type=Path, metavar="FILE", help="a CSV to replay instead, one patient")
    options.add_argument("--column", default="hr", help="the CSV's column (default: %(default)s)")
    options.add_argument("--rate", type=float, default=100.0, help="its samples a second (default: %(default)s)")
    options.add_argument("--low", type=float, default=50.0, help="heart rate below which an alarm is raised (50)")
    options.add_argument("--high", type=float, default=100.0, help="heart rate above which one is raised (100)")
    options.add_argument("--report", type=Path, default=Path("tour-report"), help="folder of the HTML report")
    options.add_argument("--keep", action="store_true", help="leave everything running and print the URLs")
    return options


def chosen(arguments: argparse.Namespace) -> list[recordings.Recording]:
    for name in ("speed", "seconds"):
        value = getattr(arguments, name)
        if not 0 < value < math.inf:  # nan compares to nothing
            raise recordings.RecordingError(f"--{name} must be greater than 0, not {value:g}")
    if not 0 <= arguments.low < arguments.high < math.inf:
        raise recordings.RecordingError(f"--low {arguments.low:g} must be less than --high {arguments.high:g}")
    if arguments.recording is None:
        return recordings.shipped(arguments.patients, arguments.seconds)
    whole = recordings.read_csv(arguments.recording, arguments.column, arguments.rate)
    return [recordings.cut(whole, 0.0, arguments.seconds)]


def run(arguments: Sequence[str]) -> int:
    """Exit status: 0 all claims hold, 1 a check failed or a place broke, 2 bad usage, 130 interrupted. Raises
    ModuleNotFoundError without what ``littoral[tour]`` brings."""
    options = parser().parse_args(arguments)
    try:
        patients = chosen(options)
    except recordings.RecordingError as problem:
        print(f"littoral tour: {problem}", file=sys.stderr)
        return 2
    from littoral.tour.whole import go

    return go(options, patients)
