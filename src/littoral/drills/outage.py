"""``littoral drill outage``: a ward of twenty beds whose link upward is away for hours of its time.

::

    records of the beds ──▶ core ──▶ spool ──╳── link ──▶ region      hours of them, faster than time
    vitals (probe)      ──▶ core ──▶ alarms ──▶ alarm heard           in real time, throughout
                             │
        link cut · core killed and started, its clock ahead · disk filled · spool full · link back

Everything is a process and a real client: ``littoral up``, MQTT 5 over TLS, boto3. The steps are in ``run``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from littoral.drills.beds import WARD, Bed, client_of, start_all
from littoral.drills.checking import Compared, compare
from littoral.tour import provision
from littoral.tour.link import Link
from littoral.tour.monitors import Identity
from littoral.tour.places import PlaceError, PlaceProcess
from littoral.tour.provision import BRIDGE, CORE, Cloud
from littoral.tour.recordings import shipped
from littoral.tour.steps import FREE_PORTS, credentials

BEDS = 20
NUCLEUS = "aws.greengrass.Nucleus"
PACKAGE = "littoral.drills"
SKEW = 600  # seconds


@dataclass(frozen=True, slots=True)
class Plan:
    records: int  # a bed
    step: float = 5.0  # simulated seconds from one to the next
    pace: float = 50.0  # records a second and bed
    disk: int = 256 * 1024**2  # bytes
    when_full: str = "refuse"
    spool_share: float = 0.8  # of all records fit into the spool


@dataclass(slots=True)
class Seen:
    """What the drill saw; Unix seconds. ``report`` says what it means."""

    plan: Plan
    moments: dict[str, float] = field(default_factory=dict)
    disk_filled: bool = False
    disk_refused: int = 0
    spool_limit: int = 0
    spooled_bytes: int = 0
    resumed_after: float = 0.0
    spooled: int = 0  # records that waited when the link came back
    drained_in: float = 0.0
    sent: list[tuple[float, float]] = field(default_factory=list)  # acknowledged above, by moment
    alarms: list[tuple[float, float | None]] = field(default_factory=list)
    records: Compared | None = None


class Outage:
    def __init__(self, say: Console, folder: Path, plan: Plan, cleanup: ExitStack) -> None:
        self.say = say
        self.folder = folder
        self.plan = plan
        self.seen = Seen(plan)
        self._cleanup = cleanup
        self._core_ports: list[str] = []
        self._at_cut = 0  # records that were accepted

    def run(self) -> Seen:
        self.provision()
        self.start_core()
        self.start_beds()
        with self._progress():
            self.cut()
            self.kill_core()
            self.fill_disk()
            self.fill_spool()
            self.restore()
        self.check()
        return self.seen

    # ---------------------------------------------------------------------------------------- before

    def provision(self) -> None:
        self._tell("start", "a region, twenty beds, two functions with a model, a deployment")
        self.region = PlaceProcess(
            "region", "region", self.folder / "region", [*FREE_PORTS, "--mqtt-tls-profile", "mqtt"], {}
        )
        self._cleanup.callback(self.region.stop)
        self.region.wait_ready()
        self.cloud = cloud = Cloud(self.region.urls["api"], *credentials(self.region.folder))
        arns = {
            name: provision.function(cloud, name, "python3.11", "index.lambda_handler", package=PACKAGE, Timeout=10)
            for name in ("alarms", "summaries")
        }
        _policy(cloud)
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        region_ca = provision.authority(self.region.urls["api"], keys / "region-ca.pem")
        core_ca = keys / "core-ca.pem"
        self.core_identity = provision.thing(cloud, CORE, "all", keys, region_ca)
        self.identities = [provision.thing(cloud, f"bed{n + 1}", "all", keys, core_ca) for n in range(BEDS)]
        self.probe_identity = provision.thing(cloud, "probe", "all", keys, core_ca)
        self.checker_identity = provision.thing(cloud, "checker", "all", keys, region_ca)
        self.deployment = self._deploy(arns)

    def _deploy(self, arns: dict[str, str]) -> str:
        greengrass = self.cloud.client("greengrassv2")
        for name, topic in (("alarms", "vitals"), ("summaries", "waveform")):
            parameters = {
                "eventSources": [{"topic": f"{WARD}/bed/+/{topic}", "type": "PUB_SUB"}],
                "pinned": True,
                "maxInstancesCount": 1,
                "timeoutInSeconds": 10,
            }
            greengrass.create_component_version(
                lambdaFunction={
                    "lambdaArn": arns[name],
                    "componentName": f"ward.{name}",
                    "componentVersion": "1.0.0",
                    "componentLambdaParameters": parameters,
                }
            )
        record = len(json.dumps(Bed(self.identities[0], shipped(1, 60)[0], 0, 1, 1.0, 1.0).record(1000)))
        self.seen.spool_limit = int(self.plan.spool_share * self.plan.records * BEDS * record)
        mapping = {
            kind: {"topic": f"{WARD}/bed/+/{kind}", "source": "LocalMqtt", "target": "IotCore"}
            for kind in ("record", "summary")
        }
        spooler = {"maxSizeInBytes": self.seen.spool_limit, "whenFull": self.plan.when_full}
        merges = {BRIDGE: {"mqttTopicMapping": mapping}, NUCLEUS: {"mqtt": {"spooler": spooler}}}
        components: dict[str, Any] = {f"ward.{name}": {"componentVersion": "1.0.0"} for name in arns}
        for name, merge in merges.items():
            components[name] = {"componentVersion": "2.3.2", "configurationUpdate": {"merge": json.dumps(merge)}}
        target = f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}"
        return str(greengrass.create_deployment(targetArn=target, components=components)["deploymentId"])

    def start_core(self) -> None:
        self.link = self._cleanup.enter_context(Link("127.0.0.1", self.region.port("mqtt-tls")))
        self._core_ports = [word for flag in FREE_PORTS[::2] for word in (flag, str(_free_port()))]
        self.core_folder = self.folder / "core"  # its log lies beside it
        self.core_folder.mkdir()
        self._mount()
        self.core = self._start_core({})
        self._cleanup.callback(self._stop_core)
        provision.wait_deployed(self.cloud, self.deployment, 120.0)
        provision.authority(self.core.urls["api"], self.folder / "keys" / "core-ca.pem")

    def _mount(self) -> None:
        """A disk of the core's own, small enough to be filled; root may make one."""
        if os.geteuid() == 0:
            options = f"size={self.plan.disk}"
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.core_folder)],
                capture_output=True,
                check=False,
            )
            self.seen.disk_filled = mounted.returncode == 0
        if self.seen.disk_filled:
            self._cleanup.callback(subprocess.run, ["umount", "-l", str(self.core_folder)], check=False)

    def _start_core(self, env: dict[str, str]) -> PlaceProcess:
        identity = self.core_identity
        options = [
            *self._core_ports,
            *("--upstream", f"mqtts://127.0.0.1:{self.link.port}"),
            *("--certificate", str(identity.certificate)),
            *("--private-key", str(identity.private_key)),
            *("--ca", str(identity.ca)),
        ]
        place = PlaceProcess(CORE, "core", self.core_folder, options, env)
        place.wait_ready()
        return place

    def _stop_core(self) -> None:
        """The one that runs now."""
        self.core.stop()

    def start_beds(self) -> None:
        self._subscribe_checker()
        recordings = shipped(8, 60)
        port = self.core.port("mqtt-tls")
        plan = self.plan
        self.beds = [
            Bed(identity, recordings[n % 8], port, plan.records, plan.pace, plan.step)
            for n, identity in enumerate(self.identities)
        ]
        self.probe = Probe(self.probe_identity, port)
        self._cleanup.callback(self.probe.stop)
        self.probe.wait_warm()
        self._tell("beds", f"twenty beds record {plan.records * plan.step / 3600:.1f} hours")
        start_all(self.beds, self._cleanup.callback)

    def _subscribe_checker(self) -> None:
        """A session that lasts: the region keeps all of it on its disk, while the checker costs nothing."""
        client = client_of(self.checker_identity, "checker")
        subscribed = threading.Event()

        def connected(client: Any, *_: Any) -> None:
            client.subscribe(f"{WARD}/bed/+/record", 1)

        client.on_connect = connected
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", self.region.port("mqtt-tls"), clean_start=True, properties=_lasting())
        client.loop_start()
        if not subscribed.wait(30):
            raise PlaceError("the region did not take the checker's subscription")
        client.disconnect()
        client.loop_stop()

    # ---------------------------------------------------------------------------------------- the bad day

    def cut(self) -> None:
        self._until(0.1)
        self._tell("cut", "the link is cut")
        self.link.cut()
        self._at_cut = self._accepted()

    def kill_core(self) -> None:
        """By SIGKILL, and on with a clock ahead: by less than SigV4 bears, since it is the core's own process that is
        ahead and not its functions, which on a real machine share one clock."""
        self._until(0.35)
        self._tell("killed", "the core is killed")
        self.core.kill()
        skew = Path(__file__).with_name("skew")
        self.core = self._start_core({"PYTHONPATH": str(skew), "LITTORAL_DRILL_SKEW": str(SKEW)})
        self._tell("again", f"the core is there again, its clock {SKEW} s ahead")

    def fill_disk(self) -> None:
        self._until(0.55)
        if not self.seen.disk_filled:
            return
        before = self._refused()
        self._tell("disk full", "the core's disk is filled")
        filler = self.core_folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        self._wait(lambda: self._refused() > before + BEDS, 30.0)
        time.sleep(1.0)  # alarms are to be seen in this time too
        self.seen.disk_refused = self._refused() - before
        filler.unlink()
        self._tell("disk free", f"there is room on the disk again, {self.seen.disk_refused} publishes were refused")

    def fill_spool(self) -> None:
        """Until it refuses; or, where the oldest make room, until all beds are done."""
        if self.plan.when_full == "refuse":
            self._until(0.6)
            before = self._refused()
            self._wait(lambda: (self._spool_full() and self._refused() > before + BEDS) or self._done(), 600.0)
        else:
            self._until(1.0)
        self._tell("spool full", "the spool is at its limit")

    def restore(self) -> None:
        self.seen.spooled = self._accepted() - self._at_cut
        began = time.time()
        self._tell("restored", "the link is back")
        self.link.restore()
        at_first = self._sent()
        due = at_first + self.seen.spooled
        changed = began
        while (sent := self._sent()) < due and time.time() < changed + 30:
            if not self.seen.sent or sent > self.seen.sent[-1][1]:
                changed = time.time()
            if self.plan.when_full != "refuse" and sent > at_first and time.time() > changed + 3:
                break  # what was dropped never comes
            self.seen.sent.append((time.time(), sent))
            if sent > at_first and not self.seen.resumed_after:
                self.seen.resumed_after = time.time() - began
            self._check_places()
            time.sleep(0.02)
        self.seen.sent.append((time.time(), sent))
        self.seen.drained_in = changed - began - self.seen.resumed_after
        self._tell("drained", f"{sent - at_first:.0f} messages in {self.seen.drained_in:.1f} s")
        self._wait(self._done, 300.0)

    # --------------------------------------------------------------------------------------------- after

    def check(self) -> None:
        self.seen.alarms = self.probe.stop()
        arrived = self._arrived()
        accepted = {bed.bed: bed.accepted for bed in self.beds}
        self.seen.records = compare(accepted, {bed.bed: bed.again for bed in self.beds}, arrived)
        self._tell("checked", f"{self.seen.records.arrived} of {self.seen.records.accepted} records are at the region")

    def _arrived(self) -> dict[str, list[int]]:
        """What the region kept for the checker, read until nothing has come for a while."""
        found: dict[str, list[int]] = {bed.bed: [] for bed in self.beds}
        last = [time.monotonic()]

        def heard(_client: Any, _data: Any, message: Any) -> None:
            record = json.loads(message.payload)
            found[record["bed"]].append(record["n"])
            last[0] = time.monotonic()

        client = client_of(self.checker_identity, "checker")
        client.on_message = heard
        client.connect("127.0.0.1", self.region.port("mqtt-tls"), clean_start=False, properties=_lasting())
        client.loop_start()
        accepted = self._accepted()
        while time.monotonic() < last[0] + (10 if len_of(found) < accepted else 2):
            time.sleep(0.1)
        client.disconnect()
        client.loop_stop()
        return found

    # -------------------------------------------------------------------------------------------- looking

    def _accepted(self) -> int:
        return sum(len(bed.accepted) for bed in self.beds)

    def _refused(self) -> int:
        return sum(bed.refused for bed in self.beds)

    def _done(self) -> bool:
        return all(bed.done for bed in self.beds)

    def _spool_full(self) -> bool:
        return self.seen.spooled_bytes > 0.98 * self.seen.spool_limit

    def _look_at_spool(self) -> None:
        """How much is in the spool, by the core's own store; the most is kept."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.core_folder}/store/streams.db?mode=ro", uri=True)
        ) as store:
            for (size,) in store.execute("SELECT bytes FROM streams WHERE name = 'core/spool'"):
                self.seen.spooled_bytes = max(self.seen.spooled_bytes, size)

    def _until(self, share: float) -> None:
        self._wait(lambda: self._accepted() >= share * self.plan.records * BEDS, 600.0)

    def _wait(self, condition: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self._check_places()
            self._look_at_spool()
            self._bar.update(self._task, completed=self._accepted())
            time.sleep(0.05)

    def _check_places(self) -> None:
        self.region.check_alive()
        self.core.check_alive()

    def _sent(self) -> float:
        with urllib.request.urlopen(f"{self.core.urls['api']}/metrics", timeout=10) as answer:
            found = re.search(r"^littoral_link_sent_total (\S+)", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    @contextlib.contextmanager
    def _progress(self) -> Any:
        columns = (TextColumn("     {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.say, transient=True) as self._bar:
            self._task = self._bar.add_task("records accepted", total=self.plan.records * BEDS)
            yield

    def _tell(self, name: str, text: str) -> None:
        self.seen.moments[name] = time.time()
        began = self.seen.moments["start"]
        self.say.print(f"{time.time() - began:6.1f} s  {text}", highlight=False)


class Probe:
    """The process that asks for alarms."""

    def __init__(self, identity: Identity, port: int) -> None:
        files = str(identity.certificate), str(identity.private_key), str(identity.ca)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "littoral.drills.probe", *files, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: list[tuple[float, float | None]] | None = None

    def wait_warm(self) -> None:
        """Until an alarm came quickly, so that no cold start is ahead. Raises PlaceError."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise PlaceError("the probe ended by itself")

    def stop(self) -> list[tuple[float, float | None]]:
        if self._said is None:
            out, _ = self._process.communicate()
            self._said = [(sent, heard) for sent, heard in json.loads(out or "[]")]
        return self._said


def len_of(found: dict[str, list[int]]) -> int:
    return sum(map(len, found.values()))


def _policy(cloud: Cloud) -> None:
    statement = {"Effect": "Allow", "Action": ["iot:*", "greengrass:*"], "Resource": ["*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("iot").create_policy(policyName="all", policyDocument=document)


def _lasting() -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.SessionExpiryInterval = 24 * 3600
    return made


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
