"""``littoral models quantise``: a model made ready for a place, if it stays good enough. Needs ``littoral[models]``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from littoral.cli.asking import Failed
from littoral.site.settings import SettingsError


def add(what: Any) -> None:
    quantise = what.add_parser(
        "quantise",
        help="a model in 8-bit integers, its graph optimised, if it stays good enough",
        description="Make a model ready for a place and say what was gained and lost. Nothing is written where more is "
        "lost than --bound: that is exit status 1.",
        epilog="example: littoral models quantise net.onnx --calibration data.npz --bound 0.01 --fix N=1 -o small.onnx",
    )
    quantise.add_argument("model", type=Path, help="an ONNX model")
    quantise.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="DATA.npz",
        help="an array for each input, and 'labels' if there are some; half of the samples calibrate, half judge",
    )
    quantise.add_argument(
        "--bound",
        type=float,
        required=True,
        metavar="SHARE",
        help="by how much accuracy may fall (0.01: one sample of a hundred); without labels, answers may differ",
    )
    quantise.add_argument(
        "--method",
        choices=("static", "dynamic", "float", "best"),
        default="static",
        help="integers with ranges found now, or at run time; float numbers; or the fastest of these (default: static)",
    )
    quantise.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="NAME=LENGTH",
        help="an open length of the inputs that is always so",
    )
    quantise.add_argument("--report", type=Path, metavar="FILE", help="what was measured, as JSON")
    quantise.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the model goes")
    quantise.set_defaults(command=_quantise)


def _quantise(options: argparse.Namespace) -> int:
    """Nothing half-written stays: each file appears whole."""
    if not 0 <= options.bound < math.inf:
        raise SettingsError(f"--bound must be 0 or more, not {options.bound:g}")
    lengths = dict(_length(text) for text in options.fix)
    from rich.console import Console

    try:
        from littoral.models.optimising import CannotOptimise, optimise
    except ModuleNotFoundError as missing:
        raise Failed(f"models need {missing.name}: pip install 'littoral[models]'") from missing
    try:
        whole, report = optimise(
            options.model, options.calibration, method=options.method, bound=options.bound, lengths=lengths
        )
        if options.report:
            _write(options.report, report.json().encode())
        Console().print(report.table())
        if whole is None:
            lost = min(form.lost(report.forms[0]) for form in report.forms[1:])
            raise Failed(
                f"refused: {options.method} loses {lost:.4g} ({report.measured}), more than the bound {options.bound:g}"
            )
        _write(options.output, whole)
    except CannotOptimise as problem:
        raise Failed(str(problem)) from problem
    except OSError as problem:
        raise Failed(f"{problem.filename or options.output}: {problem.strerror or problem}") from problem
    print(f"{options.output}: {len(whole)} bytes, {report.chosen}")
    return 0


def _write(file: Path, whole: bytes) -> None:
    new = file.with_name(file.name + ".new")
    new.write_bytes(whole)
    new.replace(file)


def _length(text: str) -> tuple[str, int]:
    name, _, length = text.partition("=")
    if not name or not length.isdecimal() or not 0 < int(length) < 2**31:
        raise SettingsError(f"--fix {text}: an open length is fixed as N=1")
    return name, int(length)
