"""The drill of a cable that is pulled, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tour.test_tour import processes_of


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_transfer_survives_every_kind_of_cut(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "littoral",
            "drill",
            "cable-pull",
            "--rounds",
            "1",
            "--report",
            str(tmp_path / "report"),
        ],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"},
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checks = json.loads((tmp_path / "report" / "report.json").read_text())["checks"]
    assert all(check["holds"] for check in checks)
    assert not processes_of(tmp_path)
