"""Packages of Node.js that a test needs; it is skipped where npm or its registry is not there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def fetched(package: str, folder: Path) -> Path:
    """The folder of node_modules with that package (``mqtt@5``)."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (apt: npm)")
    flags = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    try:
        done = subprocess.run([npm, "install", *flags, package], capture_output=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not reach its registry")
    if done.returncode:
        pytest.skip(f"npm could not fetch {package}: {done.stderr.decode(errors='replace')[:200]}")
    return folder / "node_modules"
