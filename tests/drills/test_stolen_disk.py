"""The drill of a stolen disk, as a user runs it, and what its search finds."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.drills.stolendisk.scanning import scan
from tests.tour.test_tour import processes_of


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_thief_of_the_disk_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "littoral", "drill", "stolen-disk", "--report", str(tmp_path / "report")],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"},
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["found"] == {}
    assert "no word is on the disk" in (tmp_path / "report" / "report.md").read_text()
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_the_search_finds_a_word_in_every_form(tmp_path: Path, before: str) -> None:
    word = "w0123456789abcdef0123"
    (tmp_path / "plain").write_bytes(b"\0" * 8_388_600 + word.encode())  # over the end of a chunk
    (tmp_path / "wide").write_bytes(word.encode("utf-16-le"))
    (tmp_path / "base64").write_bytes(base64.b64encode(before.encode() + word.encode() + b" and more"))
    (tmp_path / f"of {word}").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"w0123456789abcdef")
    assert scan(tmp_path, {"it": word}).found == {"it": ["base64", f"of {word}", "plain", "wide"]}
    assert scan(tmp_path, {"it": word}).compressible == ["plain (0 %)"]
