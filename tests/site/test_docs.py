"""The pages of docs/ with commands, as a newcomer would type them: in order, in one shell, against a real place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Running, needs

pytestmark = pytest.mark.timeout(300)  # a page starts the AWS CLI some forty times
DOCS = Path(__file__).parents[2] / "docs"
SETUP = ("make setup", "littoral up &", "eval $(littoral")  # the fixture's work


def typed(page: str, place: Running, folder: Path, **more: str) -> str:
    """What the commands of a page print; they all have to succeed."""
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(blocks) >= 4
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(SETUP)]
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": place.api,
        "AWS_ACCESS_KEY_ID": place.access_key,
        "AWS_SECRET_ACCESS_KEY": place.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": "/dev/null",
        "EDGE": place.process.urls["edge"],
        "MQTT_TLS_PORT": str(place.port("mqtt-tls")),
        **more,
    }
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_first_steps(place: Running, tmp_path: Path) -> None:
    needs("curl")
    printed = typed("first-steps.md", place, tmp_path)
    for expected in (
        "index.html",
        "REPORT RequestId",
        '{"hello": "shore", "version": "$LATEST"}',
        "x-cache: Miss from cloudfront",
        "x-content-type-options: nosniff",
        "<h1>Tide</h1>",
        "Hit from cloudfront",
        '"device": "pump"',
    ):
        assert expected in printed.replace('":"', '": "'), f"{expected!r} is not in:\n{printed}"


def test_connect_a_device(place: Running, tmp_path: Path) -> None:
    needs("curl")
    printed = typed("connect-a-device.md", place, tmp_path)
    for expected in (
        'heard itself: {"rate": 71}',
        "shadow version 1",
        '"reported":{"rate":71}',
        "Not allowed: iot:UpdateThingShadow",
        '{"say": "hello"}',
        "the job is done",
        "bed3\n",
        'littoral_iot_refused_total{action="iot:Connect",reason="REVOKED"}',
        "True\tpump\n",
        "pump1: Success",
        "pump1: Not authorized",
        "200 by HTTPS",
    ):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"


def test_bring_your_lambda(place: Running, tmp_path: Path) -> None:
    needs("curl")
    printed = typed("bring-your-lambda.md", place, tmp_path)
    for expected in (
        "mean of 3 intervals in seven\n",
        '{"rate": 75, "left": true}',
        '{"alarm":true,"by":"alarm"}',
        '"ExecutedVersion": "1"',
        '{"alarm":false,"by":"alarm"}',
        "x-amzn-requestid: ",
        "rate 131",
    ):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"


def test_edge_functions(place: Running, tmp_path: Path) -> None:
    needs("curl")
    printed = typed("edge-functions.md", place, tmp_path)
    for expected in (
        '"uri":"/new.html"',
        "<h1>New</h1>",
        "location: /home",
        "x-cache: FunctionGeneratedResponse from cloudfront",
        "no route for /nowhere: Error: KeyNotFound",
    ):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"


def test_private_content(place: Running, tmp_path: Path) -> None:
    needs("curl")
    needs("openssl")
    printed = typed("private-content.md", place, tmp_path)
    for expected in ("<Code>MissingKey</Code>", "\nfilm\n", "\nK"):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"


def test_topic_rules(place: Running, tmp_path: Path) -> None:
    needs("curl")
    printed = typed("topic-rules.md", place, tmp_path)
    for expected in (
        '{"hr":80,"bed":"7"}',
        "the bed is 3",
        "{'reported': {'hr': 81}}",
        "battery low",
        'namespace="Wards",statistic="most",unit="Count"} 82.0',
        "/beds/4 seven {'bed': 4, 'ward': 'seven'}",
        '{"floor":3}',
        "no OpenSearch domains",
        '{"hr":99,"name":"bed 3","floor":"2"}',
    ):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"


def test_objects(place: Running, tmp_path: Path) -> None:
    printed = typed("objects.md", place, tmp_path, LITTORAL_DATA_DIR=str(place.process.folder))
    assert "user camera7" in printed and "the camera may not look" in printed, printed


def test_training(place: Running, tmp_path: Path) -> None:
    printed = typed("training.md", place, tmp_path, LITTORAL_DATA_DIR=str(place.process.folder))
    for expected in (
        "training job first-fit",
        "\nloss         ",
        '{"slope": 3.0',
        '"MetricName": "loss"',
        "epoch 4 loss:",
    ):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"
    assert "model.tar.gz" in printed and (tmp_path / "lab" / "loss.png").exists()


def test_ask_a_model(place: Running, tmp_path: Path) -> None:
    needs("curl")
    needs("node")
    printed = typed("ask-a-model.md", place, tmp_path, LITTORAL_DATA_DIR=str(place.process.folder))
    assert '"shape": [-1, 4]' in printed
    assert '"data":[3.0]' in printed and '"data":[6.0]' in printed
    assert "means 3 6, most 6 9\n" in printed


def test_tables(place: Running, tmp_path: Path) -> None:
    printed = typed("tables.md", place, tmp_path)
    assert "70\t170" in printed, printed
    assert '"low"' in printed, printed
    assert "INSERT\tINSERT\tINSERT\tMODIFY" in printed, printed


def test_core(place: Running, tmp_path: Path) -> None:
    homes = {name: str(tmp_path / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    printed = typed("core.md", place, tmp_path, **homes)
    for expected in ("ward7 is installed", "link        up", "good morning", "ward7.Hello: restarted"):
        assert expected in printed, f"{expected!r} is not in:\n{printed}"
