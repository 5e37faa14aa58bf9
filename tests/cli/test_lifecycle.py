"""A place as a process: what it prints, what signals do, which code it exits with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from littoral.site.logs import redacted

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(**settings: str) -> subprocess.Popen[str]:
        words = [word for pair in ({"data_dir": str(tmp_path), "port": "0"} | settings).items() for word in pair]
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.cli.small_place", *words],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={key: value for key, value in os.environ.items() if not key.startswith("LITTORAL_")},
            )
        )
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> int:
    """Wait until the place is ready; the port of its listener."""
    assert process.stdout is not None
    lines = [process.stdout.readline().strip(), process.stdout.readline().strip()]
    assert lines[0].startswith("listening api http://127.0.0.1:")
    assert lines[1] == "ready"
    return int(lines[0].rpartition(":")[2])


def wait_for(stream: IO[str] | None, word: str) -> None:
    assert stream is not None
    for line in stream:
        if line.strip() == word:
            return
    raise AssertionError(f"{word} never came")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_stops_with_code_0(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start()
    port = ready(process)
    listeners = json.loads((tmp_path / "listeners.json").read_text())
    assert listeners == {"api": f"http://127.0.0.1:{port}"}
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(process.stderr, "asked")
        process.send_signal(number)
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert answer.endswith(b"answered")
    assert process.wait(30) == 0
    assert (tmp_path / "stopped").exists()
    assert not (tmp_path / "listeners.json").exists()


def test_a_second_signal_stops_the_draining(start: Start, tmp_path: Path) -> None:
    process = start(grace="1000")
    port = ready(process)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(process.stderr, "asked")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():
            continue
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert (tmp_path / "stopped").exists()


def test_a_signal_while_starting_stops_with_code_0(start: Start) -> None:
    process = start(name="slow-start")
    wait_for(process.stdout, "starting")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_failed_start_is_one_line_and_code_1(start: Start, tmp_path: Path) -> None:
    process = start(name="broken")
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert errors == "littoral: cannot start: the store is in use by another place\n"


def test_a_taken_port_names_the_flag(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(port=str(port))
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert errors.startswith(f"littoral: port {port} ")
    assert "--port" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_goes_to_standard_error_in_the_form_asked_without_secrets(start: Start, form: str) -> None:
    process = start(log_format=form)
    ready(process)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=30)
    assert out == ""
    assert "s3cret" not in errors
    assert "Authorization: " in errors
    if form == "json":
        entries = [json.loads(line) for line in errors.splitlines()]
        assert {"time", "level", "logger", "message"} == set(entries[0])
        assert entries[0]["logger"] == "littoral.test"


def test_redaction() -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----"
    for secret, text in {
        "abc123": "GET /?X-Amz-Signature=abc123&x=1",
        "FwoG": "x-amz-security-token=FwoG",
        "MHc": f"bad {key}",
        "wJalr": "aws_secret_access_key = wJalr",
        "Sig": "{'authorization': 'AWS4 Sig'}",
    }.items():
        assert secret not in redacted(text)
    assert redacted("GET /a?b=c 200") == "GET /a?b=c 200"
