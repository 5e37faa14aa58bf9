"""docs/first-steps.md, as a newcomer would type it: every command in order, in one shell, against a real place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from .conftest import Running, needs

PAGE = Path(__file__).parents[2] / "docs" / "first-steps.md"
SETUP = ("make setup", "littoral up &", "eval $(littoral")  # the fixture's work


def test_first_steps(place: Running, tmp_path: Path) -> None:
    needs("curl")
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
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
    }
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
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
        assert expected in done.stdout.replace('":"', '": "'), f"{expected!r} is not in:\n{done.stdout}\n{done.stderr}"
