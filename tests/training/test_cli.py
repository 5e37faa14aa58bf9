"""``littoral train``: a script goes up, is followed, and its model comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.cli.curve import sparkline

from .conftest import Lab, until

SCRIPT = """
import argparse, os
from pathlib import Path
from helper import double

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
value = float(Path(os.environ["SM_CHANNEL_TRAIN"], "deep", "value.txt").read_text())
for epoch in range(given.epochs):
    value /= 2
    print(f"epoch {epoch} loss: {value} double: {double(value)}")
Path(os.environ["SM_MODEL_DIR"], "weights.txt").write_text(str(value))
"""
WAITS = "import time\nprint('ready')\ntime.sleep(1000)\n"


def command(lab: Lab, *words: str) -> list[str]:
    return [sys.executable, "-m", "littoral", "train", *words, "--data-dir", str(lab.folder)]


def littoral(lab: Lab, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(lab, *words), cwd=folder, capture_output=True, text=True, timeout=110, check=False, env=clean()
    )


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LITTORAL_", "AWS_"))}


def test_a_script_is_trained_and_its_model_comes_back(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(SCRIPT)
    (tmp_path / "src" / "helper.py").write_text("def double(value):\n    return 2 * value\n")
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "value.txt").write_text("8")
    done = littoral(
        lab,
        tmp_path,
        *("train.py", "--source", "src", "--data", "train=data", "--hyperparameters", "epochs=3", "--job", "by-hand"),
        *("--metric", "loss=loss: ([0-9.]+)", "--metric", "double=double: ([0-9.]+)"),
        *("--plot", "curve.png", "--output", "model"),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "training job by-hand"
    assert "epoch 0 loss: 4.0 double: 8.0" in lines
    assert f"{'loss':<12} 4 █▃▁ 1" in lines and f"{'double':<12} 8 █▃▁ 2" in lines
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert (tmp_path / "model" / "weights.txt").read_text() == "1.0"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    metrics = {each["MetricName"]: each["Value"] for each in lab.describe("by-hand")["FinalMetricDataList"]}
    assert metrics == {"loss": 1.0, "double": 2.0}


def test_a_script_that_fails_says_so_in_the_exit_code(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the data is odd')")
    done = littoral(lab, tmp_path, "train.py")
    assert done.returncode == 1
    assert "the data is odd" in done.stdout.splitlines()
    assert any(
        line.startswith("littoral: train-") and "failed: AlgorithmError" in line for line in done.stderr.splitlines()
    )
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_the_job(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(WAITS)
    running = subprocess.Popen(
        ["env", "--default-signal=INT", *command(lab, "train.py", "--job", "by-ctrl-c")],  # also beneath nohup
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean(),
    )
    try:
        assert running.stdout is not None
        until(lambda: "ready" in running.stdout.readline())  # type: ignore[union-attr]
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=110)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130, said
    assert lab.describe("by-ctrl-c")["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("words", "named", "code"),
    [
        (["nothing.py"], "nothing.py", 1),
        (["train.py", "--data", "train=nowhere"], "nowhere", 1),
        (["train.py", "--data", "a b=."], "a b=.", 2),
        (["train.py", "--hyperparameters", "epochs"], "KEY=VALUE", 2),
        (["train.py", "--job", "-no-"], "-no-", 2),
        (["train.py", "--job", "no_name"], "no_name", 1),
        (["train.py", "--workers", "3"], "ResourceLimitExceeded", 1),
        (["train.py", "--metric", "loss=("], "loss", 1),
        (["train.py", "--checkpoints", "s3://nobodys/kept"], "nobodys", 1),
    ],
)
def test_misuse_is_one_line_and_an_exit_code(lab: Lab, tmp_path: Path, words: list[str], named: str, code: int) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    done = littoral(lab, tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert named in done.stderr and "Traceback" not in done.stderr


def test_a_line_of_bars() -> None:
    assert sparkline([]) == "" and sparkline([1.0]) == "▁"
    assert sparkline([0.0, 7.0]) == "▁█"
    assert len(sparkline([float(at % 7) for at in range(1000)])) == 40


def test_the_command_asks_for_other_machines(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    shared = littoral(lab, tmp_path, "train.py", "--spread")
    assert shared.returncode == 1 and "sagemaker_spread_enabled needs EnableNetworkIsolation" in shared.stderr
    missing = littoral(lab, tmp_path, "train.py", "--spread", "--workers", "2", "--no-network")
    assert missing.returncode == 1 and "other machines offer 0" in missing.stderr
