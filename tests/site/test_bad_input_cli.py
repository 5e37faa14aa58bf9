"""Misuse of the ``littoral`` program: one clear line on standard error, an exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def littoral(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LITTORAL_", "AWS_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-m", "littoral", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**clean, "HOME": str(cwd), **(env or {})},
    )


def write(name: str, data: bytes | str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return prepare


def a_file_where_the_folder_should_be(folder: Path) -> None:
    (folder / "data").write_text("no folder")


FREE = ["--port", "0", "--edge-port", "0", "--edge-tls-port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0"]
FREE += ["--edge-front", "off"]
CORE = ["up", "core", *FREE, "--upstream", "mqtts://127.0.0.1:9", "--data-dir", "data"]
Prepare = Callable[[Path], None]


def nothing(_: Path) -> None:
    """Nothing to prepare."""


# what is typed, what lies in the folder, what the line must name, exit code
MISUSE: dict[str, tuple[list[str], Prepare, str, int]] = {
    "no command": ([], nothing, "COMMAND", 2),
    "unknown command": (["fly"], nothing, "fly", 2),
    "unknown flag": (["up", "--altitude"], nothing, "--altitude", 2),
    "unknown kind": (["up", "moon"], nothing, "moon", 2),
    "port is a word": (["up", "--port", "high"], nothing, "port", 2),
    "port too large": (["up", "--port", "65536"], nothing, "65535", 2),
    "port negative": (["up", "--port", "-1"], nothing, "port", 2),
    "same port twice": (["up", "--port", "4000", "--edge-port", "4000"], nothing, "4000", 2),
    "privileged host": (["up", "--auth", "off", "--host", "0.0.0.0"], nothing, "loopback", 2),
    "host not ours": (["up", *FREE, "--host", "192.0.2.1", "--data-dir", "data"], nothing, "192.0.2.1", 1),
    "host unknown": (["up", *FREE, "--host", "no.such.invalid", "--data-dir", "data"], nothing, "no.such.invalid", 1),
    "bad region": (["up", "--region", "Atlantis"], nothing, "region", 2),
    "bad account": (["up", "--account", "12"], nothing, "account", 2),
    "bad name": (["up", "--name", "a/b"], nothing, "name", 2),
    "bad seconds": (["up", "--grace", "nan"], nothing, "grace", 2),
    "bad concurrency": (["up", "--functions-concurrency", "0"], nothing, "concurrency", 2),
    "node not there": (["up", "--node", "/nowhere/node"], nothing, "/nowhere/node", 2),
    "toml not there": (["up", "--config", "none.toml"], nothing, "none.toml", 2),
    "toml not TOML": (["up", "--config", "c.toml"], write("c.toml", "port = = 1"), "c.toml", 2),
    "toml not text": (["up", "--config", "c.toml"], write("c.toml", b"\xff\xfe\0"), "c.toml", 2),
    "toml is a folder": (["up", "--config", "d"], lambda folder: (folder / "d").mkdir(), "cannot read d", 2),
    "toml deep": (["up", "--config", "c.toml"], write("c.toml", "a = " + "[" * 5000), "c.toml", 2),
    "toml strange key": (["up", "--config", "c.toml"], write("c.toml", "altitude = 3"), "altitude", 2),
    "toml wrong type": (["up", "--config", "c.toml"], write("c.toml", "port = [1]"), "port", 2),
    "data folder is a file": (["up", *FREE, "--data-dir", "data"], a_file_where_the_folder_should_be, "data", 1),
    "data folder not makeable": (["up", *FREE, "--data-dir", "/proc/littoral"], nothing, "/proc/littoral", 1),
    "data folder with a nul": (["up", *FREE, "--data-dir", "/sys/x"], nothing, "/sys/x", 1),
    "a database that is none": (
        ["up", *FREE, "--data-dir", "data"],
        lambda folder: spoil(folder / "data"),
        "",
        1,
    ),
    "core alone": (["up", "core"], nothing, "--upstream", 2),
    "core without certificate": (CORE, nothing, "--certificate", 2),
    "core with no such file": ([*CORE, "--certificate", "c", "--private-key", "k"], nothing, "there is no file", 2),
    "core with broken files": (
        [*CORE, "--certificate", "c", "--private-key", "c"],
        write("c", "no certificate"),
        "certificate, key or CA",
        1,
    ),
    "core with broken ca": (
        [*CORE, "--certificate", "c", "--private-key", "c", "--ca", "c"],
        write("c", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "certificate, key or CA",
        1,
    ),
    "core over http": (["up", "core", "--upstream", "http://a"], write("c", ""), "--certificate", 2),
    "upstream no URL": (["up", "edge", "--upstream", "region"], nothing, "upstream", 2),
    "edge without upstream": (["up", "edge"], nothing, "--upstream", 2),
    "edge without keys": (["up", "edge", "--upstream", "http://127.0.0.1:9"], nothing, "ACCESS_KEY", 2),
    "credentials not there": (["credentials", "--data-dir", "none"], nothing, "none", 1),
    "coverage of nothing": (["coverage", "teleport"], nothing, "teleport", 2),
    "settings bad port": (["settings", "--port", "x"], nothing, "port", 2),
    "tour no file": (["tour", "--recording", "none.csv"], nothing, "none.csv", 2),
    "tour folder": (["tour", "--recording", "."], nothing, "cannot read", 2),
    "tour no column": (["tour", "--recording", "r.csv", "--column", "hr"], write("r.csv", "a,b\n1,2\n"), "'hr'", 2),
    "tour empty": (["tour", "--recording", "r.csv"], write("r.csv", ""), "r.csv", 2),
    "tour no number": (["tour", "--recording", "r.csv"], write("r.csv", "hr\n" + "1\n" * 1500 + "x\n"), "1502", 2),
    "tour nan": (["tour", "--recording", "r.csv"], write("r.csv", "hr\n" + "1\n" * 1500 + "nan\n"), "1502", 2),
    "tour too short": (["tour", "--recording", "r.csv"], write("r.csv", "hr\n1\n2\n"), "1200", 2),
    "tour not text": (["tour", "--recording", "r.csv"], write("r.csv", b"hr\n\xff\xfe\n"), "r.csv", 2),
    "tour huge field": (["tour", "--recording", "r.csv"], write("r.csv", "hr\n" + "1" * 200_000 + "\n"), "r.csv", 2),
    "tour rate": (["tour", "--recording", "r.csv", "--rate", "nan"], write("r.csv", "hr\n1\n"), "--rate", 2),
    "tour speed": (["tour", "--speed", "nan"], nothing, "--speed", 2),
    "tour speed zero": (["tour", "--speed", "0"], nothing, "--speed", 2),
    "tour seconds": (["tour", "--seconds", "nan"], nothing, "--seconds", 2),
    "tour patients": (["tour", "--patients", "900"], nothing, "--patients", 2),
    "tour limits": (["tour", "--low", "120", "--high", "60"], nothing, "--low", 2),
    "tour flag": (["tour", "--altitude"], nothing, "--altitude", 2),
}


def spoil(data: Path) -> None:
    """A data folder whose database holds something else."""
    for name in ("records.db", "streams.db"):
        for folder in (data, data / "store"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"this is no database" * 500)


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_one_clear_line(tmp_path: Path, name: str) -> None:
    words, prepare, named, code = MISUSE[name]
    prepare(tmp_path)
    done = littoral(*words, cwd=tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, (done.returncode, done.stderr)
    said = [line for line in done.stderr.splitlines() if line.startswith("littoral")]
    assert len(said) == 1, done.stderr
    assert named in done.stderr
    assert "ready" not in done.stdout


def test_a_variable_that_is_no_setting_is_a_warning(tmp_path: Path) -> None:
    done = littoral("settings", cwd=tmp_path, env={"LITTORAL_ALTITUDE": "3"})
    assert done.returncode == 0
    assert "LITTORAL_ALTITUDE" in done.stderr
