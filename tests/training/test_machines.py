"""Hosts on other machines: a worker is another process here, with its own data folder, that dials in as from afar."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.cli.asking import signed
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.net.websocketclient import Asking, open_websocket
from littoral.site.traininghosts import MACHINES
from littoral.tour.link import Link as Cable
from littoral.training.elsewhere.line import PATH, SUBPROTOCOL
from tests.site.conftest import up

from .conftest import LITTORAL, Lab, Worker, lab_of, until, workers_of
from .test_endings import SPOT, STEPS, checkpointed
from .test_hosts import TALKS, of_parts

SPREAD = {"sagemaker_spread_enabled": "true"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A region with one processor for training."""
    folder = tmp_path_factory.mktemp("machines") / "place"
    running = up(folder, "--train-workers", "1")
    yield lab_of(running, folder)
    assert running.process.stop() == 0, running.process.log_end()


@pytest.fixture
def worker(small: Lab, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    yield from workers_of(small, tmp_path)


def hosts(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def test_hosts_on_two_machines_find_one_another_and_nothing_else(small: Lab, worker: Callable[..., Worker]) -> None:
    machine = worker("far", "--train-workers", "2")
    small.create(
        "talks",
        TALKS,
        ResourceConfig=hosts(3),
        InputDataConfig=of_parts(small),
        EnableNetworkIsolation=True,
        Environment={"PLACE": small.place.api.rpartition(":")[2]},
    )
    job = small.ended("talks")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"] + "\n".join(small.printed("talks"))
    made = small.model("talks")
    assert sorted(made) == ["algo-1.json", "algo-2.json", "algo-3.json", "same"]
    assert made["same"] == b"algo-1"
    told = [json.loads(made[f"algo-{at}.json"]) for at in (1, 2, 3)]
    assert [each["name"] for each in told] == ["algo-1", "algo-2", "algo-3"]
    assert [each["files"] for each in told] == [["a"], ["b"], ["c"]]
    assert sorted(line for line in small.printed("talks") if not line.startswith("Invoking")) == [
        *("alone", "alone", "alone", "heard algo-2", "heard algo-3")
    ]
    words = ("worker", "ls", "--data-dir", str(small.folder))
    shown = subprocess.run([*LITTORAL, *words], capture_output=True, text=True, timeout=60, check=True).stdout
    assert [line.split() for line in shown.splitlines()[1:]] == [["far", "127.0.0.1", "2", "-"]]
    assert machine.end() == 0, machine.log()
    assert list(machine.folder.rglob("*")) == [machine.folder / "training"]


# Goes on alone on the second host.
FAR = """import json, os, time
if os.environ["SM_CURRENT_HOST"] == "algo-1":
    raise SystemExit
"""
WAITS_SPREAD = """
import os, time
print("here is", os.environ["SM_CURRENT_HOST"], flush=True)
while True:
    time.sleep(0.05)
"""


def spread(count: int = 2) -> dict[str, Any]:
    return {"HyperParameters": dict(SPREAD), "ResourceConfig": hosts(count), "EnableNetworkIsolation": True}


def listed(lab: Lab) -> list[dict[str, Any]]:
    keys = (lab.place.access_key, lab.place.secret_key, "us-east-1")
    found: list[dict[str, Any]] = signed(lab.place.api, MACHINES, keys, service="littoral")["machines"]
    return found


def gone(lab: Lab) -> bool:
    return not listed(lab)


def alive(folder: Path) -> list[str]:
    """Processes that have to do with that folder: those of a machine, and of its jobs."""
    found = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_a_machine_that_is_killed_is_a_host_that_was(small: Lab, worker: Callable[..., Worker]) -> None:
    machine = worker("dies", "--train-workers", "1")
    small.create("with-the-dying", WAITS_SPREAD, **spread())
    small.says("with-the-dying", "here is algo-2")
    assert [(each["machine"], each["jobs"]) for each in listed(small)] == [("dies", ["with-the-dying/algo-2"])]
    machine.end(signal.SIGKILL)
    job = small.ended("with-the-dying")
    assert job["TrainingJobStatus"] == "Failed" and "ExitCode -9" in job["FailureReason"]
    assert "the machine dies, which ran algo-2, was lost" in job["FailureReason"]
    until(lambda: not alive(machine.folder))


def test_a_spot_job_goes_on_from_what_a_lost_machine_had_sent(small: Lab, worker: Callable[..., Worker]) -> None:
    """The script's checkpoints come from the host that is elsewhere."""
    script = STEPS.replace("import json, os, time\n", FAR)
    first = worker("first", "--train-workers", "1")
    small.create(
        "spot-far",
        script,
        HyperParameters={"lives": "2", **SPREAD},
        ResourceConfig=hosts(2),
        EnableNetworkIsolation=True,
        CheckpointConfig={"S3Uri": "s3://lab/kept/spot-far"},
        **SPOT,
    )
    checkpointed(small, "spot-far", 3)
    first.end(signal.SIGKILL)
    until(lambda: small.describe("spot-far")["SecondaryStatus"] == "Interrupted")
    worker("second", "--train-workers", "1")
    job = small.ended("spot-far")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert small.told("spot-far")["lives"] == [0, 3]


def test_a_machine_that_is_asked_to_end_gives_its_jobs_back(small: Lab, worker: Callable[..., Worker]) -> None:
    """No spot job: it goes on all the same, as when the place itself ends."""
    script = STEPS.replace("import json, os, time\n", FAR)
    first = worker("leaves", "--train-workers", "1")
    small.create(
        "handed-on",
        script,
        HyperParameters={"lives": "2", **SPREAD},
        ResourceConfig=hosts(2),
        EnableNetworkIsolation=True,
        CheckpointConfig={"S3Uri": "s3://lab/kept/handed-on"},
    )
    checkpointed(small, "handed-on", 3)
    assert first.end() == 0, first.log()
    assert gone(small)
    worker("takes-over", "--train-workers", "1")
    job = small.ended("handed-on")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert small.told("handed-on")["lives"] == [0, 3]


def test_a_link_that_is_cut_ends_the_host_and_the_machine_comes_back(small: Lab, tmp_path: Path) -> None:
    with Cable("127.0.0.1", small.place.port("mqtt-tls")) as cable:
        machine = Worker(small, tmp_path, "cut", "--train-workers", "1", endpoint=f"mqtts://127.0.0.1:{cable.port}")
        try:
            machine.ready()
            small.create("cut-off", WAITS_SPREAD, **spread())
            small.says("cut-off", "here is algo-2")
            cable.cut()
            job = small.ended("cut-off")
            assert "the machine cut, which ran algo-2, was lost" in job["FailureReason"]
            cable.restore()
            until(lambda: [each["jobs"] for each in listed(small)] == [[]])
            assert len(list(machine.folder.rglob("ml"))) == 0
        finally:
            machine.end(signal.SIGKILL)


def test_who_may_not_offer_hosts_is_refused(small: Lab, tmp_path: Path) -> None:
    """A core has a certificate of this region, too, and another region's worker has one that is none here."""
    core = subprocess.run(
        [*LITTORAL, "core", "bundle", "ward", "--out", str(tmp_path / "core"), "--data-dir", str(small.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert core.returncode == 0, core.stderr
    Worker(small, tmp_path, "honest").end(signal.SIGKILL)
    own = json.loads((tmp_path / "honest.bundle").read_text())
    for name, wrong, why in (
        ("core", {"form": own["form"]}, "no policy of this certificate allows littoral:OfferTrainingHosts"),
        ("honest.bundle", {"name": "ward"}, "this certificate is not that of a thing 'ward'"),
    ):
        found = json.loads((tmp_path / name).read_text())
        (tmp_path / "wrong.bundle").write_text(json.dumps({**found, **wrong}))
        machine = Worker(small, tmp_path, "wrong")
        assert machine.end(signal.SIGCONT) == 1
        assert why in machine.log()


def test_a_stranger_is_not_even_heard(small: Lab, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        asyncio.run(knock(small, tmp_path))


async def knock(lab: Lab, folder: Path) -> None:
    """With a certificate of another authority."""
    stranger = Authority.create("stranger").issue_client("far")
    ca = (lab.folder / "ca.pem").read_bytes()
    tls = client_context(ca=ca, pair=stranger.pair)
    asking = Asking("127.0.0.1", lab.place.port("mqtt-tls"), PATH, SUBPROTOCOL)
    await open_websocket(asking, tls, asyncio.Protocol)


def test_a_machine_whose_certificate_was_taken_back_offers_nothing(small: Lab, worker: Callable[..., Worker]) -> None:
    worker("revoked", "--train-workers", "1")
    assert [each["machine"] for each in listed(small)] == ["revoked"]
    iot = small.place.client("iot")
    (arn,) = iot.list_thing_principals(thingName="revoked")["principals"]
    iot.update_certificate(certificateId=arn.rpartition("/")[2], newStatus="INACTIVE")
    until(lambda: gone(small))


def test_what_is_asked_of_other_machines_in_vain_is_said(small: Lab) -> None:
    def refused(code: str, **asked: Any) -> str:
        with pytest.raises(ClientError) as caught:
            small.create("in-vain", "print(1)", **asked)
        assert caught.value.response["Error"]["Code"] == code
        return str(caught.value.response["Error"]["Message"])

    assert "other machines offer 0" in refused("ResourceLimitExceeded", **spread())
    assert "needs EnableNetworkIsolation" in refused(
        "ValidationException", **spread() | {"EnableNetworkIsolation": False}
    )
