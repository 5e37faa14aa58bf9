"""The drill of an outage in its short form, as a user runs it. What depends on the machine's speed is not asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tour.test_tour import processes_of

KEPT = (
    "nothing accepted is lost",
    "nothing is doubled at the region",
    "order per bed holds",
    "the spool never passes its limit",
)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_outage_loses_doubles_and_disorders_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report"
    drill = subprocess.run(
        [sys.executable, "-m", "littoral", "drill", "outage", "--short", "--report", str(report)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"},
        timeout=380,
        check=False,
    )
    assert drill.returncode in (0, 1), drill.stdout + drill.stderr
    assert report.exists(), drill.stdout + drill.stderr
    found = json.loads((report / "report.json").read_text())
    checks = {check["claim"]: check for check in found["checks"]}
    assert [checks[claim]["seen"] for claim in KEPT if not checks[claim]["holds"]] == []
    assert found["records"]["accepted"] == found["records"]["arrived"] == 2400
    assert drill.returncode == (0 if all(check["holds"] for check in checks.values()) else 1)
    assert (report / "outage.png").stat().st_size > 10_000
    assert not processes_of(tmp_path)
