"""What becomes of a drill that breaks off."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from rich.console import Console

from littoral.drills.frame import Report, carry_out

REFUSED = ClientError({"Error": {"Code": "InvalidAccessKeyId", "Message": "not known"}}, "GetObject")


@pytest.mark.parametrize("problem", [REFUSED, ReadTimeoutError(endpoint_url="http://it")])
def test_a_place_that_refuses_its_own_clients_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """As one does whose disk has lost its keys."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)

    def drill(console: Console, folder: Path, cleanup: ExitStack) -> Report:
        raise problem

    try:
        assert carry_out("cut", drill, tmp_path / "report") == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    said = " ".join(capsys.readouterr().out.split())
    assert f"The drill broke off: {problem}" in said and "Logs are kept in" in said
