"""A ward of twenty beds whose link upward is away for hours of its time.

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
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from littoral.drills.aside import aside
from littoral.drills.beds import Bed, start_all
from littoral.drills.checker import Checker
from littoral.drills.checking import compare, missing
from littoral.drills.cpu import spent
from littoral.drills.frame import Report
from littoral.drills.outage.findings import report_of
from littoral.drills.outage.seen import SKEW, Plan, Seen
from littoral.drills.probe import Probe
from littoral.drills.ward import BEDS, Ward
from littoral.tour.recordings import shipped

LOOK = 0.1  # seconds between two looks at how far the drain is; each costs the core some milliseconds


class Outage:
    """The link upward is away for hours of a ward's time; the core is killed meanwhile, its disk and spool filled."""

    def __init__(self, say: Console, folder: Path, plan: Plan, cleanup: ExitStack) -> None:
        self.say = say
        self.plan = plan
        self.seen = Seen(plan)
        self.ward = Ward(folder, cleanup)
        self._cleanup = cleanup

    def run(self) -> Report:
        self.prepare()
        self.start_beds()
        with self._progress():
            self.cut()
            self.kill_core()
            self.fill_disk()
            self.fill_spool()
            self.restore()
        self.check()
        return report_of(self.seen)

    # ---------------------------------------------------------------------------------------- before

    def prepare(self) -> None:
        self._tell("start", "a region, twenty beds, two functions with a model, a deployment")
        ward = self.ward
        ward.start_region()
        record = len(json.dumps(Bed(ward.beds[0], shipped(1, 60)[0], 0, 1, 1.0, 1.0).record(1000)))
        self.seen.spool_limit = int(self.plan.spool_share * self.plan.records * BEDS * record)
        ward.deploy({"maxSizeInBytes": self.seen.spool_limit, "whenFull": self.plan.when_full})
        ward.start_core(self.plan.disk)
        self.seen.disk_filled = ward.own_disk
        self.checker = Checker(ward.checker, ward.region.port("mqtt-tls"))
        self.checker.subscribe()

    def start_beds(self) -> None:
        recordings = shipped(8, 60)
        plan, port = self.plan, self.ward.core.port("mqtt-tls")
        self.beds = [
            Bed(identity, recordings[n % 8], port, plan.records, plan.pace, plan.step)
            for n, identity in enumerate(self.ward.beds)
        ]
        self.probe = Probe(self.ward.probe, port)
        self._cleanup.callback(self.probe.stop)
        self.probe.wait_warm()
        self._sent()  # a place that is watched has been looked at before
        self._tell("beds", f"twenty beds record {plan.hours:.1f} hours, {plan.speed:g} times faster than life")
        start_all(self.beds, self._cleanup.callback)

    # ---------------------------------------------------------------------------------------- the bad day

    def cut(self) -> None:
        self._until(0.1)
        self._tell("cut", "the link is cut")
        self.ward.link.cut()

    def kill_core(self) -> None:
        """By SIGKILL, and on with a clock ahead: by less than SigV4 bears, since it is the core's own process that is
        ahead and not its functions, which on a real machine share one clock."""
        self._until(0.35)
        self._tell("killed", "the core is killed")
        self.ward.core.kill()
        skew = Path(__file__).parents[1] / "skew"
        self.ward.again({"PYTHONPATH": str(skew), "LITTORAL_DRILL_SKEW": str(SKEW)})
        self._sent()  # as above, of the new process
        self._tell("again", f"the core is there again, its clock {SKEW} s ahead")

    def fill_disk(self) -> None:
        self._until(0.55)
        if not self.seen.disk_filled:
            return
        before = self._refused()
        self._tell("disk full", "the core's disk is filled")
        filler = self.ward.core_folder / "filler"
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
        seen = self.seen
        self._look_at_spool()
        cpu, began = self._cpu(), time.time()
        self._tell("restored", "the link is back")
        with aside(self.ward.region.pid):
            self._drain(began)
        seen.drain_cpu = {name: after - cpu[name] for name, after in self._cpu().items()}
        self._tell("drained", f"{seen.drained:.0f} of {seen.spooled} messages that waited")
        self._wait(self._done, 300.0)
        self._wait(lambda: not seen.left, 60.0)  # the last may be on their way still

    def _drain(self, began: float) -> None:
        """Look at it until all that waited is sent, or nothing moves any more."""
        seen = self.seen
        self.ward.link.restore()
        at_first = self._sent()
        seen.sent.append((time.time(), at_first))
        seen.due = at_first + seen.spooled  # what is dropped now makes room for one that is sent
        changed = began
        while (sent := self._sent()) < seen.due and time.time() < changed + 30:
            if sent > seen.sent[-1][1]:
                changed = time.time()
            seen.sent.append((time.time(), sent))
            if sent > at_first and not seen.resumed_after:
                seen.resumed_after = time.time() - began
            self.ward.check_alive()
            time.sleep(LOOK)
        seen.sent.append((time.time(), sent))

    def check(self) -> None:
        self.seen.alarms = self.probe.stop()
        accepted = {bed.bed: bed.accepted for bed in self.beds}
        arrived = self.checker.arrived(accepted, self._accepted())
        self.seen.records = compare(accepted, {bed.bed: bed.again for bed in self.beds}, arrived)
        self.seen.missing = missing(accepted, arrived)
        self._tell("checked", f"{self.seen.records.arrived} of {self.seen.records.accepted} records are at the region")

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
        """How much is in the spool, by the core's own store; the most bytes are kept."""
        store = f"file:{self.ward.core_folder}/store/streams.db?mode=ro"
        with contextlib.closing(sqlite3.connect(store, uri=True)) as opened:
            for size, count in opened.execute("SELECT bytes, count FROM streams WHERE name = 'core/spool'"):
                self.seen.left, self.seen.spooled = size, count
                self.seen.spooled_bytes = max(self.seen.spooled_bytes, size)

    def _sent(self) -> float:
        with urllib.request.urlopen(f"{self.ward.core.urls['api']}/metrics", timeout=10) as answer:
            found = re.search(r"^littoral_link_sent_total (\S+)", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def _cpu(self) -> dict[str, float]:
        return {
            "core": spent(self.ward.core.pid),
            "region": spent(self.ward.region.pid),
            "beds and link": spent(os.getpid()),
        }

    def _until(self, share: float) -> None:
        self._wait(lambda: self._accepted() >= share * self.plan.records * BEDS, 600.0)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._look_at_spool()
        while not condition() and time.monotonic() < deadline:
            self.ward.check_alive()
            self._look_at_spool()
            self._bar.update(self._task, completed=self._accepted())
            time.sleep(0.05)

    @contextlib.contextmanager
    def _progress(self) -> Iterator[None]:
        columns = (TextColumn("     {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.say, transient=True) as self._bar:
            self._task = self._bar.add_task("records accepted", total=self.plan.records * BEDS)
            yield

    def _tell(self, name: str, text: str) -> None:
        self.seen.moments[name] = time.time()
        began = self.seen.moments["start"]
        self.say.print(f"{time.time() - began:6.1f} s  {text}", highlight=False)
