"""The page docs/ship-a-box.md, as it is typed: a region orders a box, a real one is filled, taken in and erased."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.site.conftest import Running, start

__all__ = ["start"]

PAGE = Path(__file__).parents[2] / "docs" / "ship-a-box.md"
PORTS = ("8444", "8884", "8445")
NEEDED = ("rclone", "curl", "openssl")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}"),
]


def with_free_ports(text: str) -> str:
    with ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in PORTS]
    for port, found in zip(PORTS, free, strict=True):
        text = text.replace(port, str(found))
    return text


def test_a_box_is_shipped_as_the_page_says(start: Callable[..., Running], tmp_path: Path) -> None:
    region = start("region", kind="region")
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": region.api,
        "AWS_ACCESS_KEY_ID": region.access_key,
        "AWS_SECRET_ACCESS_KEY": region.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": "/dev/null",
        "LITTORAL_DATA_DIR": str(region.process.folder),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    script = "set -e\ntrap 'kill $(jobs -p)' EXIT\n" + with_free_ports("".join(blocks))
    with (tmp_path / "said").open("w") as said:
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, stdout=said, stderr=said, check=False)
    words = (tmp_path / "said").read_text()
    assert done.returncode == 0, words
    assert words.count("log/monday\n") == 2 and words.count(" tuesday\n") == 2  # in the box, in the region
    assert "\nComplete\n" in words and "they do not open it" in words and "\nVerified OK\n" in words
    s3 = region.client("s3")
    assert s3.get_object(Bucket="catch", Key="log/monday")["Body"].read() == b"42 cod\n"
    assert s3.get_object(Bucket="catch", Key="loud/wednesday")["Body"].read() == b"42 COD\n"
    assert {file.name for file in (tmp_path / "certificate").iterdir()} == {"sanitization.json", "sanitization.md"}
    assert not list((tmp_path / "disk").rglob("*.db"))
