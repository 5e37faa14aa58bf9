"""``littoral models quantise``, as a person types it."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from littoral.cli.main import main

onnxruntime = pytest.importorskip("onnxruntime")

from littoral.models.optimising import measuring  # noqa: E402
from tests.models.small_nets import images, saved  # noqa: E402


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    monkeypatch.setattr(measuring, "ROUND", 0.0)
    return saved(tmp_path)


def typed(files: tuple[Path, Path], bound: str, *more: str) -> int:
    model, samples = files
    places = ("-o", str(model.with_name("small.onnx")), "--report", str(model.with_name("report.json")))
    return main(["models", "quantise", str(model), "--calibration", str(samples), "--bound", bound, *places, *more])


def test_the_smaller_model_is_written_with_its_report(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(files, "0.1", "--fix", "N=1") == 0
    assert "small.onnx" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"))
    assert session.run(None, {"image": images(1)})[0].shape == (1, 4)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["chosen"] == "static"
    assert report["forms"][1]["bytes"] == (tmp_path / "small.onnx").stat().st_size
    assert all(form["memory_mib"] > 0 for form in report["forms"])


def test_beyond_the_bound_it_is_refused_in_one_line(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(files, "0") == 1
    said = capsys.readouterr().err
    assert "refused: static loses 0.0" in said
    assert "more than the bound 0" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "small.onnx").exists()
    assert json.loads((tmp_path / "report.json").read_text())["chosen"] is None


@pytest.mark.parametrize(
    ("more", "status", "problem"),
    [
        (("--fix", "N=0"), 2, "--fix N=0: an open length is fixed as N=1"),
        (("--fix", "M=1"), 1, "no open length M; it has N"),
        (("--bound", "nan"), 2, "--bound must be 0 or more"),
        (("--bound", "-1"), 2, "--bound must be 0 or more"),
        (("--calibration", "no-such.npz"), 1, "no-such.npz: No such file or directory"),
        (("-o", "no-such/small.onnx"), 1, "No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    status: int,
    problem: str,
) -> None:
    assert typed(files, "0.1", *more) == status
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "small.onnx").exists()


def test_without_the_extra_it_says_what_to_install(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("littoral.models.optimising"):
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert typed(files, "0.1") == 1
    assert "models need onnx: pip install 'littoral[models]'" in capsys.readouterr().err
