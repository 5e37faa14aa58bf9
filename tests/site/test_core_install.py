"""From bare machine to core: by a bundle of the region, and by a claim whose key never leaves the device."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from littoral.tour.places import PlaceProcess
from tests.site.conftest import FREE_PORTS, Running
from tests.site.on_device import NAME, cloud_of, deploy, littoral

TEMPLATE = {
    "Parameters": {"ThingName": {"Type": "String"}},
    "Resources": {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "ThingName"}}},
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "core-policy"}},
    },
}


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def done(*words: str, home: Path, code: int = 0) -> str:
    ended = littoral("core", *words, home=home)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def run_installed(name: str, home: Path) -> PlaceProcess:
    """The core as its unit starts it, on free ports."""
    config = home / ".config" / "littoral" / f"{name}.toml"
    core = PlaceProcess(
        name, "core", home / ".local/share/littoral" / name, ["--config", str(config), *FREE_PORTS], {"HOME": str(home)}
    )
    core.wait_ready()
    return core


def test_a_bundle_makes_a_core_that_runs_what_is_deployed(
    place: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "whoever-installs-it")  # as `littoral credentials --export` leaves it
    home = tmp_path / "home"
    home.mkdir()
    at_region = ("--data-dir", str(place.process.folder))
    file = tmp_path / "ward9.bundle"
    said = done("bundle", "ward9", "--out", str(file), *at_region, home=home)
    assert mode(file) == 0o600 and "littoral core install --bundle ward9.bundle" in said and "--endpoint" in said
    assert "littoral: making the thing ward9, its certificate and its policy there\n" in said
    assert "is there already" in done("bundle", "ward9", "--out", str(file), *at_region, home=home, code=1)
    assert done("bundle", "no", "--group", "nobody", "--out", str(tmp_path / "no"), *at_region, home=home, code=1)
    iot = cloud_of(place).client("iot")
    (statement, _) = json.loads(iot.get_policy(policyName="littoral-core")["policyDocument"])["Statement"]
    assert {f"iot:{each}ThingShadow" for each in ("Get", "Update", "Delete")} < set(statement["Action"])
    before = len(iot.list_certificates()["certificates"])
    for name, out in (("a:b", tmp_path / "no"), ("no", file / "no")):
        done("bundle", name, "--out", str(out), *at_region, home=home, code=1)
    assert not {"no", "a:b"} & {each["thingName"] for each in iot.list_things()["things"]}
    assert not (tmp_path / "no").exists() and len(iot.list_certificates()["certificates"]) == before

    units = tmp_path / "units"
    words = ("install", "--bundle", str(file), "--unit-folder", str(units), "--log-level", "debug")
    assert "ward9 is installed" in done(*words, home=home)
    assert not file.exists()
    data, config = home / ".local/share/littoral/ward9", home / ".config/littoral/ward9.toml"
    assert mode(data) == 0o700
    assert {mode(each) for each in (config, data / "core.key", data / "core.crt")} == {0o600}
    assert 'log_level = "debug"' in config.read_text() and "whoever-installs-it" not in config.read_text()
    key = (data / "core.key").read_text()
    done(*words, home=home)  # again, without the bundle: nothing that matters changes
    assert (data / "core.key").read_text() == key
    with urlopen(f"{place.api}/_littoral/models.key") as answer:
        assert f'models_key = "{answer.read().decode()}"' in config.read_text()
    assert not [each for each in (*data.iterdir(), *config.parent.iterdir(), *units.iterdir()) if each.suffix == ".new"]

    core = run_installed("ward9", home)
    try:
        cloud = cloud_of(place)
        deployment = deploy(cloud, "ward9")
        deadline = time.monotonic() + 60
        while f"{NAME}  1.0.0    RUNNING" not in (shown := done("status", home=home)):
            assert time.monotonic() < deadline, shown
        assert "up" in shown and deployment
    finally:
        assert core.stop() == 0, core.log_end()


def test_a_claim_makes_a_core_whose_key_was_made_on_the_device(place: Running, tmp_path: Path) -> None:
    iot = cloud_of(place).client("iot")
    iot.create_policy(
        policyName="core-policy",
        policyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        ),
    )
    iot.create_provisioning_template(
        templateName="cores",
        enabled=True,
        provisioningRoleArn="arn:aws:iam::000000000000:role/any",
        templateBody=json.dumps(TEMPLATE),
    )
    made = iot.create_provisioning_claim(templateName="cores")
    claim = tmp_path / "claim"
    claim.mkdir()
    (claim / "claim.crt").write_text(made["certificatePem"])
    (claim / "claim.key").write_text(made["keyPair"]["PrivateKey"])
    shutil.copy(place.process.folder / "ca.pem", claim / "ca.pem")
    upstream = ("--upstream", f"mqtts://127.0.0.1:{place.port('mqtt-tls')}")
    words = ("install", *upstream, "--claim", str(claim), "--no-unit", "--name", "ward10")
    home = tmp_path / "home"
    home.mkdir()
    assert "needs --template" in done(*words, home=home, code=1)
    assert "create-from-csr" in done(*words, "--template", "others", home=home, code=1)  # what it is to allow
    before = len(iot.list_certificates()["certificates"])
    file = str(claim / "ca.pem")
    assert "cannot be written" in done(*words, "--template", "cores", "--data-dir", file, home=home, code=1)
    assert len(iot.list_certificates()["certificates"]) == before  # the region was not asked
    assert not (home / ".config").exists() and not (home / ".local").exists()  # nothing half-written
    assert "ward10 is installed" in done(*words, "--template", "cores", home=home)
    data = home / ".local/share/littoral/ward10"
    certificate = x509.load_pem_x509_certificate((data / "core.crt").read_bytes())
    key = load_pem_private_key((data / "core.key").read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    done(*words, "--template", "cores", home=home)  # idempotent: the same certificate
    assert x509.load_pem_x509_certificate((data / "core.crt").read_bytes()) == certificate
    core = run_installed("ward10", home)
    try:
        deadline = time.monotonic() + 60
        while not json.loads(done("status", "--json", home=home))["link"]["connected"]:
            assert time.monotonic() < deadline
    finally:
        assert core.stop() == 0, core.log_end()


def test_what_is_no_bundle_installs_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    bad = tmp_path / "bad.bundle"
    for text in ("", "[]", "{}", json.dumps({"form": "littoral-core-bundle/1", "name": "../x"})):
        bad.write_text(text)
        assert "is no bundle" in done("install", "--bundle", str(bad), home=home, code=1)
    whole = dict.fromkeys(("certificatePem", "privateKey", "ca", "region", "account"), "x")
    for name, words in (("../x", "must be"), ("ward9", "do not go together")):
        whole |= {"form": "littoral-core-bundle/1", "name": name, "upstream": "mqtts://127.0.0.1:8883"}
        bad.write_text(json.dumps(whole))
        assert words in done("install", "--bundle", str(bad), home=home, code=1)
    assert "no file" in done("install", "--bundle", str(tmp_path / "away.bundle"), home=home, code=1)
    assert "--bundle FILE or --claim" in done("install", home=home, code=1)
    assert not list(home.iterdir()) and bad.exists()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    from littoral.cli.install import service

    file = tmp_path / "littoral-ward9.service"
    for system in (True, False):
        file.write_text(service("ward9", tmp_path / 'a "b" 100%.toml', tmp_path / "data", system=system))
        verified = subprocess.run(
            ["systemd-analyze", "verify", *(() if system else ("--user",)), str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            check=False,
        )
        assert verified.returncode == 0 and file.name not in verified.stderr, verified.stderr
    assert sys.executable in file.read_text()
