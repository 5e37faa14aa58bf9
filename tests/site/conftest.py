"""A real ``littoral up``: region and edge location in one process on free ports, and its clients."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.tour.places import PlaceProcess

PORTS = ("--port", "0", "--edge-port", "0", "--edge-tls-port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")
FREE_PORTS = (*PORTS, "--edge-front", "off")  # tests/site/test_front.py has one
ROLE = "arn:aws:iam::000000000000:role/test"


@dataclass
class Running:
    """One running place with its addresses and credentials."""

    process: PlaceProcess
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def api(self) -> str:
        return self.process.urls["api"]

    def port(self, listener: str) -> int:
        return self.process.port(listener)

    def client(self, service: str, **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.api,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
        )

    def aws(self, *words: str, check: bool = True) -> str:
        """Run the AWS CLI against this place; standard output."""
        env = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.api,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "AWS_CONFIG_FILE": "/dev/null",
        }
        cli = Path(sys.executable).with_name("aws")
        done = subprocess.run([cli, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done.stdout + done.stderr


def up(folder: Path, *options: str, kind: str = "") -> Running:
    process = PlaceProcess("test", kind, folder, [*FREE_PORTS, *options], {})
    try:
        process.wait_ready()
        keys = configparser.ConfigParser()
        keys.read(folder / "credentials")
        return Running(process, keys["default"]["aws_access_key_id"], keys["default"]["aws_secret_access_key"])
    except BaseException:
        process.stop()
        raise


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start places that are stopped at the end of the test."""
    running: list[Running] = []

    def begin(name: str = "place", *options: str, kind: str = "") -> Running:
        place = up(tmp_path / name, *options, kind=kind)
        running.append(place)
        return place

    yield begin
    for place in running:
        place.process.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One region with its edge location for all tests of a module."""
    running = up(tmp_path_factory.mktemp("site") / "place")
    yield running
    assert running.process.stop() == 0, running.process.log_end()


def needs(program: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found
