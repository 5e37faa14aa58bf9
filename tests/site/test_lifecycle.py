"""A place starts, says what it listens on, stops on SIGTERM, and keeps what it acknowledged."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .conftest import FREE_PORTS, ROLE, Running
from .test_clients import zipped

Start = Callable[..., Running]


def children(pid: int) -> set[int]:
    """All living descendants of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    grown = {pid}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def survivors(pids: set[int], seconds: float = 10.0) -> list[str]:
    """Command lines of those that are still there once they have had time to see that their place is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    return [file.read_text() for pid in pids if (file := Path(f"/proc/{pid}/cmdline")).exists()]


def test_sigterm_stops_cleanly_and_leaves_no_process(start: Start) -> None:
    place = start()
    functions = place.client("lambda")
    code = zipped(m__py="def handler(event, context):\n    return event\n")
    functions.create_function(
        FunctionName="echo", Runtime="python3.11", Handler="m.handler", Role=ROLE, Code={"ZipFile": code}
    )
    assert functions.invoke(FunctionName="echo", Payload=b'{"a":1}')["Payload"].read() == b'{"a": 1}'
    below = children(place.process._process.pid)
    assert below
    assert place.process.stop() == 0, place.process.log_end()
    assert not survivors(below)


def test_kill_9_loses_nothing_acknowledged_and_leaves_no_process(start: Start) -> None:
    place = start()
    s3, functions = place.client("s3"), place.client("lambda")
    s3.create_bucket(Bucket="kept")
    for number in range(20):
        s3.put_object(Bucket="kept", Key=f"{number}", Body=b"x" * number * 1000)
    code = zipped(m__py="def handler(event, context):\n    return 'here'\n")
    functions.create_function(
        FunctionName="kept", Runtime="python3.11", Handler="m.handler", Role=ROLE, Code={"ZipFile": code}
    )
    functions.invoke(FunctionName="kept")
    place.client("iot").create_thing(thingName="kept")
    below = children(place.process._process.pid)
    os.kill(place.process._process.pid, signal.SIGKILL)
    place.process._process.wait()

    again = start()
    assert again.access_key == place.access_key
    s3 = again.client("s3")
    sizes = {item["Key"]: item["Size"] for item in s3.list_objects_v2(Bucket="kept")["Contents"]}
    assert sizes == {f"{number}": number * 1000 for number in range(20)}
    assert s3.get_object(Bucket="kept", Key="19")["Body"].read() == b"x" * 19000
    assert again.client("lambda").invoke(FunctionName="kept")["Payload"].read() == b'"here"'
    assert again.client("iot").describe_thing(thingName="kept")["thingName"] == "kept"
    assert not survivors(below)


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = [*FREE_PORTS, "--port", port, "--data-dir", str(tmp_path / "data")]
        done = subprocess.run(
            [sys.executable, "-m", "littoral", "up", *options], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_in_use_is_one_clear_line(start: Start, tmp_path: Path) -> None:
    start("place")
    options = [*FREE_PORTS, "--data-dir", str(tmp_path / "place")]
    done = subprocess.run(
        [sys.executable, "-m", "littoral", "up", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_credentials_export_makes_the_aws_cli_work(start: Start, tmp_path: Path) -> None:
    place = start("place")
    port = place.api.rsplit(":", 1)[1]
    exported = subprocess.run(
        [sys.executable, "-m", "littoral", "credentials", "--export", "--data-dir", str(tmp_path / "place")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "LITTORAL_PORT": port},
    ).stdout
    script = f"{exported}\n{Path(sys.executable).with_name('aws')} s3 ls"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_health_readiness_and_metrics(start: Start) -> None:
    place = start()
    for path, expected in (("ready", b"ready"), ("health", b"ok")):
        with urllib.request.urlopen(f"{place.api}/_littoral/{path}") as answer:
            assert expected in answer.read()
    with urllib.request.urlopen(f"{place.api}/metrics") as answer:
        assert b"littoral_function_starts_total" in answer.read()
