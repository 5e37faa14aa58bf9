"""The drill of a stolen disk, as a user runs it, and what its search finds."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.drills.stolendisk.scanning import scan, scan_device
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
    claims = {check["claim"] for check in found["checks"]}
    assert "no word is on the disk, in any form" in claims
    assert found["rows"]["words planted"] == ("30" if "no WebDAV" in found["rows"] else "32")
    assert ("no word is in any block of the disk" in claims) == ("no disk of its own" not in found["rows"])
    assert not processes_of(tmp_path)


def test_what_was_deleted_is_found_on_the_device(tmp_path: Path) -> None:
    """Bytes that are no file's any more, over the end of a chunk, beside nothing but zeros."""
    word = "w0123456789abcdef0123"
    device = tmp_path / "device"
    with device.open("wb") as disk:
        disk.truncate(40_000_000)
        disk.seek(8 * 1024 * 1024 - 5)
        disk.write(word.encode())
    seen = scan_device(device, {"it": word, "another": "w1123456789abcdef0123"})
    assert (seen.found, seen.size) == ({"it": ["device"]}, 40_000_000)


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


def test_the_search_finds_the_bytes_of_a_key(tmp_path: Path) -> None:
    key = os.urandom(48)
    (tmp_path / "raw").write_bytes(b"before" + key)
    for told in (key.hex(), base64.b64encode(key).decode()):
        assert scan(tmp_path, {"it": told}).found == {"it": ["raw"]}
