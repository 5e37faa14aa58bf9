"""``littoral models import-mxnet``, as a person types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from littoral.cli.main import main

onnxruntime = pytest.importorskip("onnxruntime")
FILES = Path(__file__).parents[1] / "models/mxnet"


def typed(name: str, output: Path, *inputs: str) -> int:
    files = (f"{FILES}/{name}-symbol.json", f"{FILES}/{name}-0000.params")
    return main(["models", "import-mxnet", *files, *(f"--input={each}" for each in inputs), "-o", str(output)])


def test_the_file_is_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("signal", tmp_path / "signal.onnx", "data=N,1,40") == 0
    assert "signal.onnx" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(tmp_path / "signal.onnx"))
    (answer,) = session.run(None, {"data": np.zeros((5, 1, 40), np.float32)})
    assert answer.shape == (5, 2)


def test_what_cannot_be_imported_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("signal", tmp_path / "signal.onnx", "dates=N,1,40") == 1
    assert "have data" in capsys.readouterr().err
    assert typed("signal", tmp_path / "signal.onnx", "data") == 2
    assert "data=N,3,224,224" in capsys.readouterr().err
    assert typed("no-such", tmp_path / "signal.onnx", "data=1") == 1
    assert list(tmp_path.iterdir()) == []
