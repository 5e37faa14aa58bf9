"""Hosts on other machines: a worker is another process here, with its own data folder, that dials in as from afar."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.cli.asking import signed
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.net.websocketclient import Asking, open_websocket
from littoral.site.traininghosts import MACHINES, THING
from littoral.tour.link import Link as Cable
from littoral.training.elsewhere.frames import Kind
from littoral.training.elsewhere.line import PATH, SUBPROTOCOL, Line
from littoral.training.hosts import addresses
from tests.site.conftest import needs, up

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


def test_a_machine_needs_no_root(small: Lab, tmp_path: Path) -> None:
    within = (needs("unshare"), "--user", "--map-user=12345", "--map-group=12345")
    if subprocess.run([*within, "unshare", "--user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces within user namespaces here")
    machine = Worker(small, tmp_path, "plain", "--train-workers", "1", within=within)
    try:
        machine.ready()
        small.create("unprivileged", TALKS, InputDataConfig=of_parts(small), **spread())
        job = small.ended("unprivileged")
        assert job["TrainingJobStatus"] == "Completed", job["FailureReason"] + "\n".join(small.printed("unprivileged"))
        assert "heard algo-2" in small.printed("unprivileged")
        assert machine.end() == 0, machine.log()
    finally:
        machine.end(signal.SIGKILL)


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
    assert list(machine.folder.rglob("ml"))  # what it had no time to remove
    again = worker("dies", "--train-workers", "1")
    assert not list(machine.folder.rglob("ml"))
    second = Worker(small, machine.folder.parent, "dies")
    assert second.process.wait(60) == 1 and "another machine runs in" in second.log()
    assert again.end() == 0


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


HEARS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
    waiting.bind(("0.0.0.0", 7777))
    heard = {(peer[0], data) for data, peer in (waiting.recvfrom(100) for _ in range(3))}
print(sorted(heard))
"""


class Liar(Line):
    """A machine that sends packets in anybody's name, and says how its host has ended when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(Kind.HELLO)

    def heard(self, kind: Kind, body: bytes) -> None:
        if kind == Kind.BEGIN:
            self.begun.set()

    def lost(self) -> None:
        self.begun.set()


def datagram(source: str, to: str, body: bytes, port: int = 7777) -> bytes:
    """IPv4 and UDP, without the checksum that UDP may do without."""
    ends: bytes = IPv4Address(source).packed + IPv4Address(to).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(body), 1, 0, 64, 17, 0)
    total = sum(struct.unpack(">10H", head + ends))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    udp = struct.pack(">HHHH", port, port, 8 + len(body), 0) + body
    return head[:10] + checksum.to_bytes(2, "big") + ends + udp


async def lie(lab: Lab, bundle: dict[str, str], liar: Liar) -> None:
    pair = bundle["certificatePem"].encode(), bundle["privateKey"].encode()
    asking = Asking("127.0.0.1", lab.place.port("mqtt-tls"), PATH, SUBPROTOCOL, {THING: bundle["name"]})
    await open_websocket(asking, client_context(ca=bundle["ca"].encode(), pair=pair), lambda: liar)
    await asyncio.to_thread(small_job, lab)
    await liar.begun.wait()
    (first, own, third), stranger = addresses(3, spread=True).values(), "10.0.0.1"
    listening = asyncio.create_task(asyncio.to_thread(lab.says, "lied", "honest"))
    while not liar.over.is_set() and not listening.done():
        for source in (first, third, stranger, own):
            liar.packet(datagram(source, first, b"honest" if source == own else b"forged"))
        for to in (third, stranger, "127.0.0.1"):  # nobody of this job
            liar.packet(datagram(own, to, b"astray"))
        await asyncio.sleep(0.1)
    await listening
    liar.tell(Kind.ENDED, status=0)
    liar.send(Kind.SETTLED)
    await liar.over.wait()


def small_job(lab: Lab) -> None:
    lab.create("lied", 'import os\nif os.environ["SM_CURRENT_HOST"] == "algo-1":\n' + indent(HEARS, "    "), **spread())
    until(lambda: "lied/algo-2" in [job for each in listed(lab) for job in each["jobs"]])


def test_a_packet_in_anothers_name_arrives_nowhere(small: Lab, tmp_path: Path) -> None:
    Worker(small, tmp_path, "liar").end(signal.SIGKILL)
    until(lambda: gone(small))
    asyncio.run(lie(small, json.loads((tmp_path / "liar.bundle").read_text()), Liar()))
    job = small.ended("lied")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert small.printed("lied")[-1] == "[('100.64.10.102', b'honest')]"
