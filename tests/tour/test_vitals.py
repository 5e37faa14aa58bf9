"""The ward's function against heartpy's own analysis of the same recordings, as an independent reference."""

import importlib.util
import math
import os
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from littoral.tour.recordings import shipped


def load(name: str) -> ModuleType:
    file = Path(importlib.util.find_spec("littoral.tour").origin).parent / "functions" / name / "index.py"  # type: ignore
    spec = importlib.util.spec_from_file_location(f"{name}_function", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # Lambda sets it; nothing is published from here
vitals = load("vitals")


@pytest.mark.parametrize("patient", range(4))
def test_heart_rate_agrees_with_heartpy(patient: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import heartpy
    recording = shipped(4, 88)[patient]
    stretch = int(20 * recording.rate)
    ours, theirs = [], []
    for first in range(0, len(recording.samples) - stretch, stretch):
        part = recording.samples[first : first + stretch]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, measures = heartpy.process(np.array(part), recording.rate)
        ours.append(vitals.analyse(list(part), recording.rate)["heart_rate"])
        theirs.append(float(measures["bpm"]))
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    assert sorted(differences)[len(differences) // 2] < 2.0, (ours, theirs)


@pytest.mark.parametrize("rate", [45.0, 60.0, 99.0, 150.0])
def test_a_synthetic_pulse_with_a_dicrotic_notch(rate: float) -> None:
    beat = 60 / rate

    def pulse(t: float) -> float:
        phase = (t % beat) / beat
        return math.exp(-((phase - 0.2) ** 2) / 0.004) + 0.35 * math.exp(-((phase - 0.55) ** 2) / 0.006)

    samples = [500 + 100 * pulse(i / 100) for i in range(1000)]
    result = vitals.analyse(samples, 100)
    assert result["heart_rate"] == pytest.approx(rate, abs=0.6)
    assert result["rmssd"] < 5


def test_noise_and_silence_have_no_heart_rate() -> None:
    assert vitals.analyse([512.0] * 1000, 100)["heart_rate"] is None
    assert vitals.analyse([], 100)["heart_rate"] is None


def messages(samples: list[float], rate: float) -> list[dict[str, Any]]:
    step = 25
    return [
        {
            "ward": "w",
            "bed": "b",
            "rate": rate,
            "first": i,
            "samples": samples[i : i + step],
            "last": i + step >= len(samples),
            "sent_at": 0.0,
        }
        for i in range(0, len(samples), step)
    ]


def test_every_point_is_in_exactly_one_aggregate(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(vitals, "publish", lambda topic, message: said.append((topic, message)))
    recording = shipped(1, 33)[0]
    for message in messages(list(recording.samples), recording.rate):
        vitals.lambda_handler(message, None)
    aggregates = [body for topic, body in said if topic == "w/bed/b/aggregate"]
    assert sum(a["points"] for a in aggregates) == len(recording.samples)
    ends = [a["first"] + a["points"] for a in aggregates]
    assert [a["first"] for a in aggregates] == [0, *ends[:-1]]
    assert {topic for topic, _ in said} >= {"w/bed/b/vitals", "w/bed/b/alarm"}


def test_a_bed_that_starts_again_forgets_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "publish", lambda topic, message: None)
    noise = random.Random(1)
    for _ in range(2):
        for message in messages([noise.random() for _ in range(100)], 100):
            last = vitals.lambda_handler(message, None)
    assert last == {"bed": "b", "samples": 100}
