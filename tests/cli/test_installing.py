"""What ``littoral core install`` writes, wherever the device keeps it and whenever it is broken off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from littoral.cli import install
from littoral.cli.asking import Failed
from littoral.cli.bundle import FORM
from littoral.cli.main import main
from littoral.net.pki import Authority
from littoral.site.settings import load
from littoral.store.durable import write_durably

BLANKS = "a home of 100% \U0001f600"


@pytest.fixture(scope="module")
def identity() -> dict[str, Any]:
    authority = Authority.create("a region")
    issued = authority.issue_client("ward9")
    return {
        "form": FORM,
        "name": "ward9",
        "upstream": "mqtts://region.example:8883",
        "region": "us-east-1",
        "account": "000000000000",
        "certificatePem": issued.certificate.decode(),
        "privateKey": issued.private_key.decode(),
        "ca": authority.certificate_pem.decode(),
    }


@pytest.fixture
def device(identity: dict[str, Any], tmp_path: Path) -> Path:
    """A home with a bundle in it."""
    home = tmp_path / BLANKS
    home.mkdir()
    (home / "ward9.bundle").write_text(json.dumps(identity))
    return home


def run(home: Path) -> int:
    typed = install.Installing(home / "ward9.bundle", None, "", {}, unit=True, unit_folder=home / "units")
    return install.run(load({}, {}, home), typed, {}, home)


def test_a_core_finds_its_files_wherever_they_lie(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(device) == 0
    config = device / ".config/littoral/ward9.toml"
    read = load({"config": str(config)}, {}, device).settings
    assert read.data_dir == device / ".local/share/littoral/ward9"
    assert read.certificate == read.data_dir / "core.crt"
    typed = install.Installing(device / "ward9.bundle", None, "", {}, unit=False, unit_folder=None)
    install.run(load({}, {}, device), typed, {}, device)
    assert f"littoral up --config '{config}'" in capsys.readouterr().out  # as a shell takes it


class Killed(BaseException):
    """As SIGKILL: nothing is tidied up."""


@pytest.mark.parametrize("moment", range(5))
def test_what_is_broken_off_is_done_again(moment: int, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(5))

    def killed(file: Path, content: bytes, mode: int) -> None:
        if next(left) == moment:
            file.with_suffix(".new").write_bytes(content[:7])
            raise Killed
        write_durably(file, content, mode)

    monkeypatch.setattr("littoral.cli.install.write_durably", killed)
    with pytest.raises(Killed):
        run(device)
    assert (device / "ward9.bundle").exists()
    monkeypatch.undo()
    assert run(device) == 0
    files = sorted(each.name for each in device.rglob("*") if each.is_file())
    assert files == ["core.crt", "core.key", "littoral-ward9.service", "upstream-ca.pem", "ward9.toml"]


def test_where_nothing_can_be_written_the_bundle_stays(device: Path) -> None:
    (device / ".local").write_text("a file")
    with pytest.raises(Failed, match="cannot be written"):
        run(device)
    assert (device / "ward9.bundle").exists() and not (device / ".config").exists()


def test_a_core_is_installed_by_a_bundle_or_by_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["core", "install", "--bundle", "x", "--claim", "y"])
    assert ended.value.code == 2 and "not allowed with" in capsys.readouterr().err
