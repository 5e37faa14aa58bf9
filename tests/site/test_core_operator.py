"""An operator beside a core's device: the command line and the page, with the link up and with the region gone."""

from __future__ import annotations

import json
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from littoral.tour.places import PlaceProcess
from littoral.tour.provision import BRIDGE, CORE, wait_deployed
from tests.site.conftest import Running, needs, up
from tests.site.on_device import NAME, a_core, cloud_of, littoral


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, PlaceProcess]]:
    folder = tmp_path_factory.mktemp("device")
    region = up(folder / "region", kind="region")
    try:
        core = a_core(region, folder)
        yield region, core
        assert core.stop() == 0, core.log_end()
        assert not (core.folder / "operator.socket").is_symlink()
    finally:
        region.process.stop()


@pytest.fixture
def core(places: tuple[Running, PlaceProcess]) -> PlaceProcess:
    return places[1]


def asked(core: PlaceProcess, *words: str, code: int = 0) -> str:
    done = littoral("core", *words, "--data-dir", str(core.folder))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_shows_how_the_core_is(core: PlaceProcess) -> None:
    found = json.loads(asked(core, "status", "--json"))
    assert found["link"]["connected"] is True and found["deployment"]["outcome"]["status"] == "SUCCEEDED"
    assert found["components"] == [{"name": NAME, "version": "1.0.0", "state": "RUNNING", "root": True, "local": False}]
    words = asked(core, "status")
    assert "link" in words and "up" in words and f"{NAME}  1.0.0" in words
    assert asked(core, "deployments") == "none was made here\n"
    assert asked(core, "components").split() == ["component", "version", "state", NAME, "1.0.0", "RUNNING"]


def test_a_component_is_stopped_and_run_again_and_its_words_are_read(core: PlaceProcess) -> None:
    def begun() -> int:
        return asked(core, "logs", NAME).count("awake as ")

    assert asked(core, "logs", NAME, "--lines", "1").startswith("awake as ")
    before = begun()
    assert asked(core, "stop", NAME) == f"{NAME}: stopped\n"
    assert json.loads(asked(core, "components", "--json"))[0]["state"] != "RUNNING"
    assert asked(core, "restart", NAME) == f"{NAME}: restarted\n"
    deadline = time.monotonic() + 30
    while begun() == before:
        assert time.monotonic() < deadline
    while json.loads(asked(core, "components", "--json"))[0]["state"] != "RUNNING":
        assert time.monotonic() < deadline


def test_a_program_reaches_its_cores_socket_and_none_of_its_keys(core: PlaceProcess) -> None:
    said = asked(core, "logs", NAME).splitlines()
    assert said[:2] == ["reached the socket", "reached no key"], said
    assert (core.folder / "credentials").is_file()


def test_what_is_not_there_is_said(core: PlaceProcess, tmp_path: Path) -> None:
    assert "there is no component 'ward.Nobody'" in asked(core, "logs", "ward.Nobody", code=1)
    assert "there is no component '../../ca'" in asked(core, "logs", "../../ca", code=1)
    assert "there is no component" in asked(core, "restart", "a/b", code=1)
    assert "lines must be from 1 to 10000" in asked(core, "logs", NAME, "--lines", "99999", code=1)
    away = littoral("core", "status", "--data-dir", str(tmp_path))
    assert away.returncode == 1 and "no core answers" in away.stderr
    assert "name one with --name" in littoral("core", "status", home=tmp_path).stderr


def test_what_is_gone_has_left_its_log(core: PlaceProcess) -> None:
    (core.folder / "components/logs/ward.Gone.log").write_text("it was here\n")
    assert asked(core, "logs", "ward.Gone") == "it was here\n"


def test_the_socket_is_for_the_cores_user_alone(core: PlaceProcess) -> None:
    real = (core.folder / "operator.socket").resolve(strict=True)
    assert stat.S_IMODE(real.stat().st_mode) == 0o600 and stat.S_IMODE(real.parent.stat().st_mode) == 0o700


def page_in_a_browser(core: PlaceProcess, profile: Path) -> str:
    """The document after nine seconds of its own time."""
    chromium = needs("chromium")
    shown = subprocess.run(
        [
            chromium,
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            f"--user-data-dir={profile}",
            "--virtual-time-budget=9000",
            "--dump-dom",
            core.urls["api"] + "/_littoral/core",
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "<dt>link</dt>" in shown.stdout, shown.stdout + shown.stderr[-2000:]
    return shown.stdout


def test_a_browser_shows_link_components_and_log(core: PlaceProcess, tmp_path: Path) -> None:
    page = page_in_a_browser(core, tmp_path / "profile")
    assert '<dt>link</dt><dd class="up">up</dd>' in page, page
    assert f"<td>{NAME}</td>" in page and '<td class="RUNNING">RUNNING</td>' in page
    assert "last deployment: SUCCEEDED" in page and "awake as " in page


def test_the_page_is_for_this_machines_browsers_and_only_to_look_at(core: PlaceProcess) -> None:
    url = core.urls["api"] + "/_littoral/core"

    def refused(target: str, method: str = "GET", **headers: str) -> int:
        with pytest.raises(urllib.error.HTTPError) as problem:
            urllib.request.urlopen(urllib.request.Request(target, method=method, headers=headers), timeout=30)
        problem.value.close()
        return problem.value.code

    assert refused(f"{url}/status.json", Host="evil.example") == 403
    assert refused(f"{url}/components/{NAME}/stop", "POST") == 404
    assert refused(f"{url}/logs?component=..%2Fx") == 404


def deploy_with(region: Running, more: dict[str, Any]) -> None:
    cloud = cloud_of(region)
    made = cloud.client("greengrassv2").create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        components={NAME: {"componentVersion": "1.0.0"}, **more},
    )
    wait_deployed(cloud, made["deploymentId"])


def test_what_the_region_denies_is_listed_and_sent_again(places: tuple[Running, PlaceProcess]) -> None:
    region, core = places
    iot = region.client("iot")
    assert asked(core, "rejected") == "nothing is set aside\n"
    mapping = {"up": {"topic": "forbidden/+", "source": "LocalMqtt", "target": "IotCore"}}
    merge = json.dumps({"mqttTopicMapping": mapping})
    deploy_with(region, {BRIDGE: {"componentVersion": "2.3.2", "configurationUpdate": {"merge": merge}}})
    deny = {"Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/forbidden/1"}
    iot.create_policy(policyName="deny", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    (target,) = iot.list_thing_principals(thingName=CORE)["principals"]
    iot.attach_policy(policyName="deny", target=target)
    publish.single("forbidden/1", "{}", 1, port=core.port("mqtt"))
    deadline = time.monotonic() + 60
    while not (found := json.loads(asked(core, "rejected", "--json"))):
        assert time.monotonic() < deadline
    assert [(each["topic"], each["reason"], each["size"]) for each in found] == [("forbidden/1", "not authorised", 2)]
    number = str(found[0]["sequence"])
    assert asked(core, "rejected", "--payload", number) == "{}"
    listed = asked(core, "rejected", "--topic", "forbidden/+").split()
    assert listed[:6] == ["number", "topic", "bytes", "since", "why", number]
    words = asked(core, "status")
    assert "1 set aside" in words and "denied" in words and "forbidden/1" in words
    with urllib.request.urlopen(core.urls["api"] + "/metrics", timeout=30) as answer:
        assert "littoral_spool_set_aside 1.0" in answer.read().decode()
    assert asked(core, "rejected", "--retry", "--topic", "else/#") == "0 messages put back into the spool\n"

    iot.detach_policy(policyName="deny", target=target)
    assert asked(core, "rejected", "--retry") == "1 message put back into the spool\n"
    while json.loads(asked(core, "status", "--json"))["spool"]["pending"]:
        assert time.monotonic() < deadline
    assert asked(core, "rejected", "--drop") == "0 messages dropped\n"
    assert "topic" in asked(core, "rejected", "--retry", "--topic", "a#", code=1)
    assert "--topic a/#/b: # is allowed" in asked(core, "rejected", "--topic", "a/#/b", code=1)
    assert "no message 999 is set aside" in asked(core, "rejected", "--payload", "999", code=1)
    deploy_with(region, {})


RECIPE = """
RecipeFormatVersion: "2020-01-25"
ComponentName: ward.Local
ComponentVersion: 1.0.0
ComponentConfiguration: {DefaultConfiguration: {greeting: "?"}}
Manifests: [{Lifecycle: {run: "cat {artifacts:path}/words; echo {configuration:/greeting}; exec sleep 1000"}}]
"""


def deployed_here(core: PlaceProcess, folder: Path) -> None:
    (folder / "recipes").mkdir()
    (folder / "recipes/local.yaml").write_text(RECIPE)
    (folder / "artifacts/ward.Local/1.0.0").mkdir(parents=True)
    (folder / "artifacts/ward.Local/1.0.0/words").write_text("from here\n")
    told = asked(
        *(core, "deploy", "--recipe-dir", str(folder / "recipes"), "--artifact-dir", str(folder / "artifacts")),
        *("--merge", "ward.Local=1.0.0", "--update-config", '{"ward.Local": {"MERGE": {"greeting": "hello"}}}'),
    )
    identifier = told.split()[2]
    assert told == f"local deployment {identifier}\nSUCCEEDED\n"
    assert asked(core, "deployments").split() == [identifier, "SUCCEEDED"]
    assert asked(core, "logs", "ward.Local") == "from here\nhello\n"
    assert f"SUCCEEDED {identifier}" in asked(core, "status")
    states = {each["name"]: each["state"] for each in json.loads(asked(core, "components", "--json"))}
    assert states == {NAME: "RUNNING", "ward.Local": "RUNNING"}
    assert "local:configuration" not in asked(core, "status")
    failed = asked(core, "deploy", "--merge", "ward.Nowhere=1.0.0", code=3)
    assert "FAILED not on this device" in failed
    assert "made here" in asked(core, "status", code=3)
    assert asked(core, "deploy", "--remove", "ward.Local").endswith("SUCCEEDED\n")
    bootstrapped(core, folder)
    assert "no component of LOCAL_DEPLOYMENT" in asked(core, "deploy", "--remove", "ward.Local", code=1)
    assert "is SUCCEEDED" in asked(core, "cancel", identifier, code=1)
    assert "no local deployment 'none'" in asked(core, "cancel", "none", code=1)
    assert "COMPONENT:posixUser=USER" in asked(core, "deploy", "--run-with", "a=b", code=1)


def bootstrapped(core: PlaceProcess, folder: Path) -> None:
    """A bootstrap step that asks for a restart: the same process starts anew, and goes on where it was."""
    once = 'echo once >> bootstrapped; exit 100"'
    text = RECIPE.replace('{run: "cat {artifacts:path}/words; ', f'{{bootstrap: "{once}, run: "cat bootstrapped; ')
    (folder / "recipes/local.yaml").write_text(text.replace("1.0.0", "1.1.0"))
    process = json.loads(asked(core, "status", "--json"))["pid"]
    told = asked(core, "deploy", "--recipe-dir", str(folder / "recipes"), "--merge", "ward.Local=1.1.0")
    assert told.endswith("SUCCEEDED\n")
    found = json.loads(asked(core, "status", "--json"))
    assert found["pid"] == process
    assert asked(core, "logs", "ward.Local", "--lines", "2") == "once\n?\n"
    assert asked(core, "deploy", "--remove", "ward.Local").endswith("SUCCEEDED\n")


def test_with_the_region_gone_the_device_still_answers(places: tuple[Running, PlaceProcess], tmp_path: Path) -> None:
    region, core = places
    region.process.stop()
    deadline = time.monotonic() + 60
    while json.loads(asked(core, "status", "--json"))["link"]["connected"]:
        assert time.monotonic() < deadline
    assert "down for " in asked(core, "status")
    assert NAME in asked(core, "components")
    assert asked(core, "stop", NAME) == f"{NAME}: stopped\n"
    assert asked(core, "restart", NAME) == f"{NAME}: restarted\n"
    while json.loads(asked(core, "components", "--json"))[0]["state"] != "RUNNING":
        assert time.monotonic() < deadline
    assert "awake as " in asked(core, "logs", NAME)
    page = page_in_a_browser(core, tmp_path / "profile")
    assert '<dt>link</dt><dd class="down">down' in page and "<dt>down for</dt>" in page, page
    assert "the place above is not reached: " in page and '<td class="RUNNING">RUNNING</td>' in page, page
    deployed_here(core, tmp_path)
