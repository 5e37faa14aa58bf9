"""`littoral sites` of a running region with its own edge location."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from littoral.cli.sites import table

from .conftest import Running

Start = Callable[..., Running]


def sites(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "littoral", "sites", "--data-dir", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_sites_shows_the_location_of_the_region(start: Start, tmp_path: Path) -> None:
    start("place")
    deadline = time.monotonic() + 20
    while not (found := json.loads(sites(tmp_path / "place", "--json").stdout))["locations"]:
        assert time.monotonic() < deadline, "the location never spoke"
    assert [(each["state"], each["functions"]) for each in found["locations"]] == [("current", [])]
    shown = sites(tmp_path / "place").stdout.splitlines()
    assert shown[1].split()[:4] == ["location", "state", "function", "version"]
    assert sites(tmp_path / "elsewhere").returncode == 1


def test_a_version_is_a_line() -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:secure:3"
    located = {"name": "pop1", "state": "lost", "revision": 7, "seen": 0.0, "functions": [arn]}
    lines = table({"revision": 8, "locations": [located]}, 7200.0).splitlines()
    assert lines[0] == "revision 8"
    assert lines[2].split() == ["pop1", "lost", "secure", "3", "7", "2", "h", "ago"]
    assert "no edge location" in table({"revision": 0, "locations": []}, 0.0)
