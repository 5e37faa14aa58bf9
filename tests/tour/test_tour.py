"""The main job as a user runs it: the ``littoral tour`` command, from start to its exit status."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def processes_of(folder: Path) -> list[str]:
    """Command lines of this machine that name the folder: places are told their data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(command.decode(errors="replace"))
    return found


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # a shell without job control starts its background, the tests with it, with SIGINT ignored
        [
            *("env", "--default-signal=INT", sys.executable, "-m", "littoral", "tour"),
            *("--report", str(folder / "report"), *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tour_holds_what_it_claims(tmp_path: Path) -> None:
    tour = start(tmp_path, "--patients", "2", "--seconds", "60", "--speed", "6")
    said, _ = tour.communicate(timeout=280)
    assert tour.returncode == 0, said
    assert "FAILED" not in said
    produced = int(re.search(r"points produced\D+(\d+)", said)[1])  # type: ignore[index]
    assert produced >= 2 * 1200
    assert re.search(rf"points at the core\D+{produced}\b", said), said
    assert re.search(rf"points at the region.*\b{produced} / {produced}\b", said), said
    report = (tmp_path / "report" / "index.html").read_text()
    assert "<svg" in report
    assert "link down" in report
    assert "2 of 3 marked stretches flagged, 0 of 4" in said, said  # the model is the same everywhere; it judges 52 s
    assert report.count("<svg") == 2
    assert not processes_of(tmp_path)


@pytest.mark.slow
def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    tour = start(tmp_path)
    assert tour.stdout is not None
    for line in tour.stdout:
        if line.startswith("4 "):  # patients are being replayed: every kind of place runs
            break
    tour.send_signal(signal.SIGINT)
    said, _ = tour.communicate(timeout=60)
    assert tour.returncode == 130, said
    assert not processes_of(tmp_path)


@pytest.mark.slow
def test_kill_9_of_the_tour_ends_its_places(tmp_path: Path) -> None:
    tour = start(tmp_path)
    assert tour.stdout is not None
    for line in tour.stdout:
        if line.startswith("2 "):  # region and edge location run
            break
    assert processes_of(tmp_path)
    tour.kill()
    tour.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_of(tmp_path)
