"""The commands of ``littoral`` as processes, as a person runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.site.services import API_CLASSES
from littoral.site.settings import TABLE


def littoral(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-m", "littoral", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)


def test_help_names_every_command_and_up_every_setting(tmp_path: Path) -> None:
    shown = littoral(tmp_path, "--help")
    assert shown.returncode == 0
    for command in "up credentials usage sites things doctor coverage settings version tour".split():
        assert f"\n    {command}" in shown.stdout
    up = littoral(tmp_path, "up", "--help")
    for row in TABLE:
        assert (row.flag is None) or (row.flag in up.stdout.split()) or (f"[{row.flag}]" in up.stdout), row.name
    assert littoral(tmp_path, "tour", "--help").returncode == 0


def test_help_of_a_command_names_its_own_flags_and_where_the_others_are(tmp_path: Path) -> None:
    shown = littoral(tmp_path, "core", "status", "--help").stdout
    assert "--data-dir" in shown and "littoral up --help" in shown and "--edge-slowest" not in shown
    assert (
        littoral(tmp_path, "settings", "--edge-slowest", "7").stdout.count("--edge-slowest") == 1
    )  # taken all the same


def test_a_mistyped_flag_is_told_from_its_value(tmp_path: Path) -> None:
    done = littoral(tmp_path, "up", "--prot", "1")
    assert done.stderr.splitlines()[-1] == "littoral up: error: there is no --prot; did you mean --port?"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["up", "moon"],
        ["up", "--prot", "1"],
        ["up", "--port", "x"],
        ["up", "edge"],
        ["coverage", "ec2"],
        ["things"],
        ["things", "watch", "--interval", "0"],
        ["things", "watch", "--count", "none"],
    ],
)
def test_wrong_usage_is_code_2_without_a_traceback(tmp_path: Path, words: list[str]) -> None:
    done = littoral(tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_version(tmp_path: Path) -> None:
    done = littoral(tmp_path, "version")
    assert (done.returncode, done.stdout) == (0, "littoral 0.1.0\n")


def test_settings_show_values_and_sources(tmp_path: Path) -> None:
    done = littoral(tmp_path, "settings", "--edge-port", "off", LITTORAL_NAME="ward7", LITTORAL_PROT="1")
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert lines["edge-port"] == ["off", "--edge-port"]
    assert lines["name"] == ["ward7", "LITTORAL_NAME"]
    assert lines["port"] == ["4566", "default"]
    assert "LITTORAL_PROT is no setting" in done.stderr


def test_coverage_comes_from_the_code(tmp_path: Path) -> None:
    one = littoral(tmp_path, "coverage", "sts")
    assert one.returncode == 0
    assert "  GetCallerIdentity" in one.stdout.splitlines()
    assert "AssumeRole" in one.stdout
    everything = littoral(tmp_path, "coverage")
    assert everything.returncode == 0, everything.stderr
    for service in API_CLASSES:
        assert f"{service}: " in everything.stdout


def test_credentials(tmp_path: Path) -> None:
    missing = littoral(tmp_path, "credentials")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "littoral up" in missing.stderr
    folder = tmp_path / ".local" / "share" / "littoral" / "local"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text("[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a/b+c$(x)\n")
    shown = littoral(tmp_path, "credentials")
    assert "aws_access_key_id = AKIA1" in shown.stdout
    (folder / "credentials").write_text("broken")
    assert littoral(tmp_path, "credentials").returncode == 1


def test_exported_credentials_survive_eval_in_a_shell(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a/b+'$(x) \"\n"
    )
    (tmp_path / "listeners.json").write_text(json.dumps({"api": "http://127.0.0.1:12345"}))
    show = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('AWS_')}))"
    script = f'eval $("{sys.executable}" -m littoral credentials --export "$@"); exec "{sys.executable}" -c "{show}"'

    def exported(*words: str) -> dict[str, str]:
        bash = shutil.which("bash")
        assert bash is not None
        command = [bash, "-c", script, "x", "--data-dir", str(tmp_path), *words]
        env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    assert exported("--region", "eu-west-1") == {
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": "a/b+'$(x) \"",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:12345",
    }
    assert exported("--port", "99")["AWS_ENDPOINT_URL"] == "http://127.0.0.1:99"
    (tmp_path / "listeners.json").unlink()
    assert exported()["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
