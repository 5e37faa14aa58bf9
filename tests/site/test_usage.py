"""`littoral usage`, logs and metrics of a running place, and what a killed place still knows."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import ROLE, Running

Start = Callable[..., Running]


def function(place: Running, name: str = "shore") -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "def handler(e, c):\n    print('tide', e['at'])\n    return e['at']\n")
    place.client("lambda").create_function(
        FunctionName=name,
        Role=ROLE,
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="app.handler",
        MemorySize=256,
        Code={"ZipFile": archive.getvalue()},
    )


def usage(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "littoral", "usage", "--data-dir", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_usage_logs_and_metrics_agree(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    assert json.loads(usage(folder, "--json").stdout)["days"] == []
    function(place)
    for at in range(5):
        place.client("lambda").invoke(FunctionName="shore", Payload=json.dumps({"at": at}))
    found: Any = json.loads(usage(folder, "--json", "--since", "1d").stdout)
    words = ["logs", "filter-log-events", "--log-group-name", "/aws/lambda/shore", "--filter-pattern"]
    reports = json.loads(place.aws(*words, "REPORT"))["events"]
    billed = sum(int(each["message"].split("Billed Duration: ")[1].split(" ")[0]) for each in reports)
    assert (len(reports), found["total"]["requests"], found["total"]["billed_ms"]) == (5, 5, billed)
    assert found["total"]["gb_seconds"] == round(billed / 1000 / 4, 6)
    tides = json.loads(place.aws(*words, "tide -4"))["events"]
    assert [each["message"] for each in tides] == [f"tide {at}" for at in range(4)]
    shown = usage(folder).stdout.splitlines()
    assert shown[1].split()[:2] == ["function", "requests"]
    assert shown[2].split()[:2] == ["shore", "5"] and shown[3].split()[:2] == ["total", "5"]
    assert usage(folder, "--by-day").stdout.splitlines()[2].split()[1:3] == ["shore", "5"]
    with urllib.request.urlopen(f"{place.api}/metrics") as answer:
        text = answer.read().decode()
    assert 'littoral_function_invocations_total{function="shore",version="$LATEST"} 5.0' in text
    assert 'littoral_function_duration_seconds_count{function="shore",version="$LATEST"} 5.0' in text
    with urllib.request.urlopen(f"{place.api}/_littoral/ready") as answer:
        assert answer.status == 200
    assert usage(folder, "--since", "yesterday").returncode == 2
    (folder / "credentials").write_text("[default]\naws_access_key_id = AKIA1\naws_secret_access_key = wrong\n")
    refused = usage(folder)
    assert refused.returncode == 1 and "refused: 403" in refused.stderr and "Traceback" not in refused.stderr


def test_what_was_put_or_metered_outlives_a_kill(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    function(place)
    place.client("lambda").invoke(FunctionName="shore", Payload=b'{"at": 1}')
    logs = place.client("logs")
    logs.create_log_group(logGroupName="/ward")
    logs.create_log_stream(logGroupName="/ward", logStreamName="7")
    usage(folder)  # writes what it reads
    at = int(logs.describe_log_groups(logGroupNamePrefix="/ward")["logGroups"][0]["creationTime"])
    for number in range(20):
        event = {"timestamp": at + number, "message": f"{number}\nof 20"}
        logs.put_log_events(logGroupName="/ward", logStreamName="7", logEvents=[event])
    os.kill(place.process._process.pid, signal.SIGKILL)
    place.process._process.wait(20)
    again = start("place")
    events = again.client("logs").filter_log_events(logGroupName="/ward")["events"]
    assert [each["message"] for each in events] == [f"{number}\nof 20" for number in range(20)]
    assert json.loads(usage(folder, "--json").stdout)["total"]["requests"] == 1


def test_an_edge_location_serves_its_own_logs_and_usage(start: Start, tmp_path: Path) -> None:
    region = start("region", "--edge-port", "off", "--edge-tls-port", "off", kind="region")
    keys = tmp_path / "region" / "credentials"
    edge = start("edge", "--upstream", region.api, "--upstream-credentials", str(keys), kind="edge")
    logs = edge.client("logs")
    logs.create_log_group(logGroupName="/pop")
    assert [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]] == ["/pop"]
    assert region.client("logs").describe_log_groups()["logGroups"] == []
    assert json.loads(usage(tmp_path / "edge", "--json").stdout)["total"]["requests"] == 0
