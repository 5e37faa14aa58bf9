"""The ward's model as it is shipped, on recordings that it has not seen; and the function that asks it on the core."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.tour.findings import Findings, Outage
from littoral.tour.recordings import SHIPPED, shipped

pytest.importorskip("onnxruntime")

from littoral.tour import rhythm
from littoral.tour.ward import evaluate, pulse
from littoral.tour.ward.disturbed import ARTEFACTS, IRREGULAR, UNSEEN, beats
from littoral.tour.ward.examples import invented
from littoral.tour.ward.lineage import made_by, made_from
from littoral.tour.ward.recorded import HELD_OUT, TRAINING, part, shipped_folder
from littoral.tour.ward.rule import Rule

WARD = Path(str(resources.files("littoral.tour") / "ward"))
LINEAGE = json.loads((WARD / "lineage.json").read_text())


def shipped_model() -> evaluate.Model:
    return evaluate.Model(WARD / "model.onnx", tuple(LINEAGE["levels"][name] for name in pulse.ANSWERS))  # type: ignore[arg-type]


def test_the_model_is_the_one_whose_lineage_is_written() -> None:
    whole = (WARD / "model.onnx").read_bytes()
    assert hashlib.sha256(whole).hexdigest() == LINEAGE["model_sha256"]
    assert len(whole) < 200 * 1024
    assert made_from(shipped_folder()) == LINEAGE["data"]
    assert made_by(WARD / "train.py") == LINEAGE["code"], "train it anew: docs/models.md says how"


def test_on_recordings_it_has_not_seen_it_finds_more_with_fewer_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {name for name, *_ in HELD_OUT if name != "data3"} & {TRAINING[0]}
    monkeypatch.setattr(evaluate, "EACH", 20)
    monkeypatch.setattr(evaluate, "SPEEDS", (1.0,))
    model = evaluate.score(shipped_folder(), shipped_model().flags)
    rule = evaluate.score(shipped_folder(), Rule(0.6, 1.5, 0.15).flags)
    assert set(model.found) == {make.__name__ for make in (*ARTEFACTS, *UNSEEN, *IRREGULAR)}
    assert min(model.found.values()) >= 0.7, model
    assert float(np.mean(list(model.found.values()))) >= 0.9, model
    assert model.marked[0] >= 9, model
    assert model.false_alarms <= 1 + rule.false_alarms / 5, (model, rule)


def test_a_judge_that_flags_nothing_or_everything_scores_so() -> None:
    source = part(shipped_folder(), *HELD_OUT[1])
    count = (len(source.signal) - pulse.SECONDS * pulse.RATE) // pulse.RATE + 1
    nothing, everything = np.zeros((count, 2), bool), np.ones((count, 2), bool)
    assert evaluate.marked(source, nothing) == (0, 5)
    assert evaluate.marked(source, everything) == (5, 5)
    alarms, seconds = evaluate.false_alarms(source, 1.0, lambda _signal: nothing)
    assert alarms == 0
    assert 50 < seconds < 82  # 128 s, of which 53 are marked, and their neighbours
    assert evaluate.runs(np.array([0, 1, 1, 0, 1], bool)) == [(1, 3), (4, 5)]


# ------------------------------------------------------------------------------------------- what it is shown


@given(st.floats(0.1, 50), st.floats(-1000, 1000), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_window_has_no_unit(gain: float, level: float, seed: int) -> None:
    signal = invented(np.random.default_rng(seed))[: pulse.SECONDS * pulse.RATE]
    np.testing.assert_allclose(
        pulse.window(signal * np.float32(gain) + np.float32(level)), pulse.window(signal), atol=0.02
    )


@pytest.mark.parametrize("rate", [32.0, 99.7, 117.0, 250.0])
def test_resampling_keeps_the_wave_and_the_time(rate: float) -> None:
    time = np.arange(int(10 * rate)) / rate
    seen = pulse.resampled(np.sin(2 * np.pi * 1.2 * time), rate)
    assert len(seen) in {319, 320}
    wanted = np.sin(2 * np.pi * 1.2 * (np.arange(len(seen)) + 0.5) / pulse.RATE)
    np.testing.assert_allclose(seen, wanted, atol=0.15)  # of half a sample


def test_too_short_a_signal_has_no_window() -> None:
    assert pulse.windows(np.zeros(255, np.float32)).shape == (0, 1, 256)
    assert pulse.windows(np.zeros(256 + 64, np.float32)).shape == (3, 1, 256)


@pytest.mark.parametrize("make", [*ARTEFACTS, *UNSEEN, *IRREGULAR])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_disturbance_is_where_it_says(make: Any, seed: int) -> None:
    chance = np.random.default_rng(seed)
    signal = invented(chance)
    before = signal.copy()
    made, mask = make(signal, chance)
    np.testing.assert_array_equal(signal, before)  # a copy was changed
    assert np.isfinite(made).all()
    near = np.convolve(mask, np.ones(2 * pulse.RATE + 1), "same") > 0  # the beat before a premature one is bent, too
    np.testing.assert_array_equal(made[~near], signal[~near])
    assert not mask.any() or (made[near] != signal[near]).any()


def test_beats_are_found_where_they_are() -> None:
    time = np.arange(14 * pulse.RATE) / pulse.RATE
    signal = np.exp(-(((time % 0.8) - 0.3) ** 2) / 0.004).astype(np.float32)
    assert len(beats(signal)) == 18
    assert set(np.diff(beats(signal))) <= {25, 26}


# ------------------------------------------------------------------------------------------- on the core


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function as it lies in its zip."""
    from littoral.tour import provision

    monkeypatch.setitem(os.environ, "AWS_DEFAULT_REGION", "us-east-1")
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(provision.zipped("rhythm", also=provision.model_files()))) as archive:
        assert sorted(archive.namelist()) == ["index.py", "lineage.json", "model.onnx", "pulse.py"]
        archive.extractall(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pulse", raising=False)
    spec = importlib.util.spec_from_file_location("rhythm_function", tmp_path / "index.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(function: ModuleType, patient: int, step: int) -> list[dict[str, Any]]:
    """What the function publishes of a shipped patient who is replayed in messages of ``step`` samples."""
    heard: list[dict[str, Any]] = []

    class Topics:
        def publish(self, *, topic: str, qos: int, payload: bytes) -> None:
            assert (topic, qos) == ("w/bed/b/rhythm", 1)
            heard.append(json.loads(payload))

    function.iot_data = Topics()  # type: ignore[attr-defined]
    samples, rate = shipped(2, 60)[patient].samples, SHIPPED[patient][2]
    for first in range(0, len(samples), step):
        event = {"ward": "w", "bed": "b", "rate": rate, "first": first, "samples": samples[first : first + step]}
        function.lambda_handler({**event, "sent_at": 1.0}, None)
    return heard


@pytest.mark.parametrize("step", [29, 400])
def test_each_second_is_judged_once_and_as_the_model_judges_it(function: ModuleType, step: int) -> None:
    heard = said(function, 1, step)
    assert [each["second"] for each in heard] == list(range(6, 6 + len(heard)))
    assert len(heard) == 52
    samples, rate = shipped(2, 60)[1].samples, SHIPPED[1][2]
    wanted = shipped_model().probabilities(pulse.resampled(samples, rate))
    found = np.array([[each[name] for name in pulse.ANSWERS] for each in heard])
    assert np.mean(np.abs(found - wanted[: len(found)]) < 0.1) > 0.95  # windows begin a part of a sample apart
    for each in heard:
        over = {name for name in pulse.ANSWERS if each[name] > LINEAGE["levels"][name] + 1e-4}
        assert (each["flag"] is None) == (not over) or each["flag"] in pulse.ANSWERS


def test_a_bed_that_starts_again_forgets_what_was(function: ModuleType) -> None:
    assert said(function, 1, 29) == [
        {**each, "computed_at": pytest.approx(each["computed_at"], abs=600)} for each in said(function, 1, 29)
    ]


def test_a_waveform_alone_is_judged(function: ModuleType) -> None:
    answer = function.lambda_handler({"waveform": [512.0] * 1000, "rate": 100}, None)
    assert answer["flag"] == "artefact"


def test_it_loads_in_the_memory_that_its_function_has() -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (512 << 20,) * 2)\n"
        f"from littoral.models import load; print(load({str(WARD / 'model.onnx')!r}, threads=1).inputs[0].name)"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "pulse\n", done.stderr


# ------------------------------------------------------------------------------------------- what the tour says of it


def test_the_tour_holds_judgements_against_marks() -> None:
    quiet = [{"second": n, "flag": None, "sent_at": float(n), "heard_at": n + 0.01} for n in range(6, 86)]
    seen = {24, 25, 38, 39, 62, 63, 80}  # of the second patient's marks
    marked = [{**each, "flag": "artefact"} if each["second"] in seen else each for each in quiet]
    for told, holds in ((quiet, False), (marked, True), ([{**each, "flag": "irregular"} for each in quiet], False)):
        findings = Findings()
        rhythm.compare_marks(findings, told)
        assert [check.holds for check in findings.checks] == [holds], findings.rows
    findings = Findings()
    rhythm.compare(findings, {"bed1": quiet, "bed2": quiet[:3] + quiet[4:]}, Outage(10, 20))
    assert [check.holds for check in findings.checks] == [False, True]
    alarms = [{"bed": "bed1", "sample": 45 * 100}, {"bed": "bed1", "sample": 55 * 100}]
    assert rhythm.doubtful(alarms, {"bed1": marked}, {"bed1": 100.0}, 10) == "1 of 2"
