"""``littoral core bundle`` against a second implementation of AWS's IoT (moto), and what install makes of it. Skipped
where moto is not installed: ``make peers``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from littoral.site.settings import load
from littoral.site.upstream import _apart

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.fixture
def moto_address() -> Iterator[str]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed: make peers")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def littoral(*words: str, home: Path, **more: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **KEYS, **more}
    done = subprocess.run(
        [sys.executable, "-m", "littoral", "core", *words],
        capture_output=True,
        text=True,
        timeout=90,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_bundle_of_aws_makes_a_core_that_knows_aws_s_addresses(moto_address: str, tmp_path: Path) -> None:
    file = tmp_path / "ward7.bundle"
    littoral(
        "bundle", "ward7", "--region", "eu-central-1", "--out", str(file), home=tmp_path, AWS_ENDPOINT_URL=moto_address
    )
    bundle = json.loads(file.read_text())
    assert (bundle["region"], bundle["account"]) == ("eu-central-1", "123456789012"), "moto's own"
    assert bundle["ca"] is None and bundle["upstream"].endswith("-ats.iot.eu-central-1.amazonaws.com")
    iot: Any = boto3.client(
        "iot", "eu-central-1", endpoint_url=moto_address, aws_access_key_id="a", aws_secret_access_key="b"
    )
    (principal,) = iot.list_thing_principals(thingName="ward7")["principals"]
    (policy,) = iot.list_attached_policies(target=principal)["policies"]
    statements = json.loads(iot.get_policy(policyName=policy["policyName"])["policyDocument"])["Statement"]
    assert statements[1]["Resource"] == "arn:aws:iot:*:*:rolealias/GreengrassV2TokenExchangeRoleAlias"

    littoral("install", "--bundle", str(file), "--no-unit", home=tmp_path)
    config = tmp_path / ".config/littoral/ward7.toml"
    written = tomllib.loads(config.read_text())
    assert "ca" not in written and written["credentials_endpoint"] == bundle["credentialsEndpoint"]
    settings = load({"config": str(config)}, {}, tmp_path).settings
    host = bundle["upstream"].removeprefix("mqtts://")
    assert _apart(settings, host) == (
        f"https://{host}:8443",
        bundle["credentialsEndpoint"],
        "https://{service}.eu-central-1.amazonaws.com",
    )
    before = config.read_text()
    littoral("install", "--bundle", str(file), "--no-unit", home=tmp_path)  # the bundle is gone: as it was
    assert config.read_text() == before
