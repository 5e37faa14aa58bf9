"""A region at work on a disk whose power is cut at a moment of chance; then the disk is mounted again (its journal is
replayed), the region started again, and everybody looks whether all is there that they were told.

::

    boto3: puts, copies, deletes, parts   ──▶ region ──▶ objects   after each cut: every key and version touched
    four beds: MQTT, QoS 1                ──▶ region ──▶ a session that lasts      at the end: every record
    boto3: Invoke, "Event"                ──▶ region ──▶ a function                at the end: every event was run
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from littoral.drills.beds import Bed
from littoral.drills.checker import Checker
from littoral.drills.checking import compare
from littoral.drills.frame import Report
from littoral.drills.objectload import Load, make_buckets
from littoral.drills.powercut.clients import Caller, Records
from littoral.drills.powercut.disk import Disk
from littoral.drills.powercut.findings import report_of
from littoral.drills.powercut.seen import Plan, Round, Seen
from littoral.drills.ward import PACKAGE, free_port, open_policy
from littoral.tour import provision
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import Cloud
from littoral.tour.recordings import shipped
from littoral.tour.steps import FREE_PORTS, credentials

WORKERS = 4
BEDS = 4
PACE = 40.0  # records a second and bed
ENDLESS = 10_000_000  # records of a bed
PATIENCE = 90.0  # seconds for the events that were accepted
ONCE = {"total_max_attempts": 1}


class PowerCut:
    """The power of a region's disk is cut again and again while it works; what it acknowledged must be there."""

    def __init__(self, say: Console, folder: Path, plan: Plan, cleanup: ExitStack) -> None:
        self.say = say
        self.plan = plan
        self.seen = Seen(plan)
        self._folder = folder
        self._cleanup = cleanup
        self._chance = random.Random(plan.seed)
        self._cutting = threading.Event()

    def run(self) -> Report:
        """Raises NotHere."""
        self.disk = Disk(self._folder, self.plan.size, self._cleanup)
        self.prepare()
        for number in range(self.plan.rounds):
            self.one_round(number)
        self.check()
        return report_of(self.seen)

    # ---------------------------------------------------------------------------------------- before

    def prepare(self) -> None:
        self._tell("start", f"a region on a disk of {self.plan.size >> 20} MiB")
        self._ports = [word for flag in FREE_PORTS[::2] for word in (flag, str(free_port()))]
        self.start()
        self._cleanup.callback(self._stop)
        cloud = self.cloud = Cloud(self.region.urls["api"], *credentials(self.region.folder))
        s3 = cloud.client("s3", retries=ONCE)
        make_buckets(s3)
        s3.create_bucket(Bucket="ran")
        self.load = Load(s3, WORKERS, self.plan.seed, self._cutting.is_set)
        self._start_beds()
        provision.function(cloud, "ran", "python3.11", "index.lambda_handler", package=PACKAGE, Timeout=30)
        self.caller = Caller(cloud.client("lambda", retries=ONCE), "ran", self._cutting)
        self.caller.start()

    def _start_beds(self) -> None:
        keys = self._folder / "keys"
        keys.mkdir(mode=0o700)
        authority = provision.authority(self.region.urls["api"], keys / "ca.pem")
        open_policy(self.cloud)
        port = self.region.port("mqtt-tls")
        self.checker = Checker(provision.thing(self.cloud, "checker", "all", keys, authority), port)
        self.checker.subscribe()
        things = [provision.thing(self.cloud, f"bed{n + 1}", "all", keys, authority) for n in range(BEDS)]
        recordings = shipped(BEDS, 60)
        self.beds = [
            Bed(each, recording, port, ENDLESS, PACE, 1.0) for each, recording in zip(things, recordings, strict=True)
        ]
        self.records = Records(self.beds)
        for bed in self.beds:
            self._cleanup.callback(bed.stop)
            bed.start()

    def start(self) -> None:
        """Also after a cut."""
        self.region = PlaceProcess("region", "region", self.disk.point, self._ports, {})
        self.region.wait_ready(120.0)

    def _stop(self) -> None:
        """The one that runs then."""
        self.region.stop()

    # ---------------------------------------------------------------------------------------- a round

    def one_round(self, number: int) -> None:
        before = self._told()
        self.load.start()
        seconds = self._chance.uniform(self.plan.least, self.plan.most)
        time.sleep(seconds)
        self.region.check_alive()
        self.cut()
        objects, records, invocations = (after - was for after, was in zip(self._told(), before, strict=True))
        self.disk.restore()
        self.start()
        self._cutting.clear()
        self.load.check()
        self.seen.rounds.append(Round(seconds, objects, records, invocations, self.region.ready_after))
        self._tell(f"cut {number + 1}", f"after {seconds:.1f} s; ready again after {self.region.ready_after:.1f} s")

    def cut(self) -> None:
        """What was answered before counts; nobody is asked whether an answer came while the power went."""
        self._cutting.set()
        self.records.cutting()
        self.disk.cut()
        self.load.join()
        self.region.kill()
        self.records.dead()

    def _told(self) -> tuple[int, int, int]:
        return self.load.acknowledged, self.records.count, len(self.caller.accepted)

    # ---------------------------------------------------------------------------------------- after

    def check(self) -> None:
        self._tell("check", "every object, record and event")
        for bed in self.beds:
            bed.stop()
        self.caller.stop()
        self.load.check(all_keys=True)
        self.seen.problems = self.load.problems
        accepted = self.records.accepted()
        arrived = self.checker.arrived(accepted, sum(map(len, accepted.values())))
        found = compare(accepted, self.records.again(), arrived)
        self.seen.records = {
            "accepted": found.accepted,
            "lost": found.lost,
            "doubled": found.doubled,
            "disordered": found.disordered,
        }
        sure = set(self.caller.accepted)
        self.seen.invocations = {"accepted": len(sure), "never run": len(self._never_run(sure))}

    def _never_run(self, accepted: set[int]) -> set[int]:
        """Of the accepted events, when there was time for all."""
        s3 = self.cloud.client("s3")
        deadline = time.monotonic() + PATIENCE
        while True:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket="ran")
            left = accepted - {int(item["Key"]) for page in pages for item in page.get("Contents", ())}
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.5)

    def _tell(self, step: str, text: str) -> None:
        self.say.print(f"[bold]{step:>8}[/bold]  {text}", highlight=False)
