"""``littoral models quantise``: the forms of a model made, measured, and the one chosen that keeps the bound."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from littoral.models.optimising import measuring
from littoral.models.optimising.calibration import Samples, read_samples
from littoral.models.optimising.opening import read_model
from littoral.models.optimising.quantising import METHODS, made
from littoral.models.optimising.report import Form, Report
from littoral.models.optimising.shapes import fix

GIVEN = "given"  # the name of the form that the caller brought
BEST = "best"  # the method that tries all


def optimise(
    model: Path, calibration: Path, *, method: str, bound: float, lengths: Mapping[str, int] | None = None
) -> tuple[bytes | None, Report]:
    """The optimised model, or None where every form of ``method`` loses more than ``bound``; and what was measured.

    ``bound`` is the most by which accuracy may fall where the samples have labels, else the most by which answers may
    differ, as a share of their root mean square. ``best`` takes the fastest form that keeps it. Raises CannotOptimise.
    """
    given = read_model(model)
    if lengths:
        fix(given, lengths)
    samples = read_samples(calibration, given)
    tried = METHODS if method == BEST else (method,)
    with tempfile.TemporaryDirectory(prefix="littoral-forms-") as folder:
        files = _files(given, tried, samples, Path(folder))
        forms = _measured(files, samples.every_other(1))
        kept = [form for form in forms[1:] if form.lost(forms[0]) <= bound]
        chosen = min(kept, key=lambda form: form.latency_ms, default=None)
        whole = files[1 + forms[1:].index(chosen)].read_bytes() if chosen else None
    measured = "the answers' difference" if samples.labels is None else "the fall of accuracy"
    asked = sum(len(next(iter(batch.values()))) for batch in samples.every_other(1).batches())
    return whole, Report(measured, bound, asked, tuple(forms), chosen.name if chosen else None)


def _files(given: onnx.ModelProto, tried: Sequence[str], samples: Samples, folder: Path) -> list[Path]:
    first = folder / f"{GIVEN}.onnx"
    first.write_bytes(given.SerializeToString())
    files = [first]
    for method in tried:
        files.append(folder / f"{method}.onnx")
        files[-1].write_bytes(made(given, method, samples.every_other(0)))
    return files


def _measured(files: list[Path], samples: Samples) -> list[Form]:
    answers = [measuring.first_answers(file, samples) for file in files]
    times = measuring.latencies(files, samples)
    return [
        Form(
            name=file.stem,
            bytes=file.stat().st_size,
            accuracy=None if samples.labels is None else measuring.accuracy(found, samples.labels),
            difference=measuring.difference(found, answers[0]),
            latency_ms=taken,
            memory_mib=measuring.memory(file, samples),
        )
        for file, found, taken in zip(files, answers, times, strict=True)
    ]
