"""Schedules of EventBridge Scheduler and their groups: what they are, when they are due, what their target gets.

Documents ``schedule/<group>/<name>`` and ``group/<name>``. A one-time schedule is ``done`` once its target's payload is
durable; one that was due while the place was down fires at the next start, unless that is longer ago than its retry
policy's MaximumEventAgeInSeconds. What others missed is not made up for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from littoral.aws.service import ServiceError
from littoral.protocols.schedule import At, Rate, parse, zone_of
from littoral.schedules.outbox import LONGEST_AGE, MOST_ATTEMPTS, Entry, Outbox
from littoral.schedules.rules import iso
from littoral.schedules.timekeeper import Timekeeper
from littoral.store.contract import Records

log = logging.getLogger(__name__)
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Job:
    """A schedule. Times are Unix seconds."""

    name: str
    group: str
    expression: str
    target: dict[str, Any]
    created: float
    modified: float
    zone: str = "UTC"
    start: float | None = None
    end: float | None = None
    enabled: bool = True
    description: str = ""
    window: int = 0  # minutes of the flexible window, 0: off
    delete_after: bool = False
    done: bool = False  # a one-time schedule that has fired
    token: str = ""  # the ClientToken it was created with

    @property
    def key(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    created: float
    modified: float
    tags: dict[str, str] = field(default_factory=dict)
    deleting: bool = False


class Jobs:
    def __init__(
        self, records: Records, outbox: Outbox, clock: Callable[[], float], *, region: str, account: str
    ) -> None:
        self._records = records
        self._outbox = outbox
        self._clock = clock
        self.region, self.account = region, account
        self._jobs: dict[str, Job] = {}
        self._groups: dict[str, Group] = {DEFAULT: Group(DEFAULT, 0.0, 0.0)}
        self.lock = asyncio.Lock()  # held while anything is read, changed and written
        self.timekeeper = Timekeeper(clock, self.fire)

    async def load(self) -> None:
        for record in await self._all("group/"):
            group = Group(**record)
            self._groups[group.name] = group
        for record in await self._all("schedule/"):
            job = Job(**record)
            self._jobs[job.key] = job
            self._plan(job, self._clock(), late=True)
        for group in list(self._groups.values()):
            if group.deleting:
                await self.delete_group(group.name)

    def arn(self, job: Job) -> str:
        return f"arn:aws:scheduler:{self.region}:{self.account}:schedule/{job.key}"

    def group_arn(self, name: str) -> str:
        return f"arn:aws:scheduler:{self.region}:{self.account}:schedule-group/{name}"

    def all(self) -> list[Job]:
        return [self._jobs[key] for key in sorted(self._jobs)]

    def groups(self) -> list[Group]:
        return [self._groups[name] for name in sorted(self._groups)]

    def find(self, group: str, name: str) -> Job | None:
        return self._jobs.get(f"{group}/{name}")

    def get(self, group: str, name: str) -> Job:
        """Raises ResourceNotFoundException."""
        self.group(group)
        job = self.find(group, name)
        if job is None:
            raise ServiceError("ResourceNotFoundException", f"Schedule {name} does not exist.", status=404)
        return job

    def group(self, name: str) -> Group:
        """Raises ResourceNotFoundException."""
        if name not in self._groups:
            raise ServiceError("ResourceNotFoundException", f"Schedule group {name} does not exist.", status=404)
        return self._groups[name]

    def has_group(self, name: str) -> bool:
        return name in self._groups

    async def put(self, job: Job) -> None:
        await self._records.put(f"schedule/{job.key}", json.dumps(asdict(job)).encode())
        self._jobs[job.key] = job
        self._plan(job, self._clock())

    async def delete(self, job: Job) -> None:
        await self._records.delete(f"schedule/{job.key}")
        self._jobs.pop(job.key, None)
        self.timekeeper.set(job.key, None)

    async def put_group(self, group: Group) -> None:
        await self._records.put(f"group/{group.name}", json.dumps(asdict(group)).encode())
        self._groups[group.name] = group

    async def delete_group(self, name: str) -> None:
        """With all its schedules. Cut off by a crash, it is finished at the next start."""
        await self.put_group(replace(self._groups[name], deleting=True))
        for job in [job for job in self.all() if job.group == name]:
            await self.delete(job)
        await self._records.delete(f"group/{name}")
        del self._groups[name]

    async def fire(self, key: str, due: float) -> None:
        """A schedule is due: durable for its target when this returns."""
        job = self._jobs.get(key)
        if job is None or not job.enabled or job.done:
            return
        await self._outbox.put([self._entry(job, due)])
        async with self.lock:
            if self._jobs.get(key) is not job:  # changed meanwhile, and planned anew
                return
            after = max(due, self._clock())
            if self._next(job, after) is not None:
                self._plan(job, after)
            elif job.delete_after:
                await self.delete(job)
            elif isinstance(parse(job.expression), At):
                await self.put(replace(job, done=True))
            else:
                self.timekeeper.set(key, None)

    def _plan(self, job: Job, after: float, *, late: bool = False) -> None:
        """``late``: a one-time schedule that was missed is due, if it is not too old."""
        due = self._next(job, after) if job.enabled and not job.done else None
        schedule = parse(job.expression)
        if late and due is None and job.enabled and not job.done and isinstance(schedule, At):
            due = schedule.next_after(after - _age(job), 0.0, zone_of(job.zone))
            if due is None:
                log.warning("schedule %s was due too long ago and is passed over", job.key)
        self.timekeeper.set(job.key, due, delay=self._flexible(job, due))

    def _next(self, job: Job, after: float) -> float | None:
        schedule, zone = parse(job.expression), zone_of(job.zone)
        if isinstance(schedule, At):  # takes no heed of the dates, as at AWS
            return schedule.next_after(after, 0.0, zone)
        origin = job.created
        if job.start is not None:
            after = max(after, job.start - 0.001)
            # a rate begins with its start date
            origin = job.start - schedule.seconds if isinstance(schedule, Rate) else origin
        due = schedule.next_after(after, origin, zone)
        return None if due is None or (job.end is not None and due > job.end) else due

    def _flexible(self, job: Job, due: float | None) -> float:
        """Seconds into the flexible window, the same for the same firing."""
        if due is None or not job.window:
            return 0.0
        digest = hashlib.sha256(f"{self.arn(job)}@{due}".encode()).digest()
        return float(int.from_bytes(digest[:8], "big") % (job.window * 60))

    def _entry(self, job: Job, due: float) -> Entry:
        arn = self.arn(job)
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn}@{due}@{job.created}"))
        retry = job.target.get("RetryPolicy") or {}
        return Entry(
            job.target["Arn"],
            self._payload(job, due, identity),
            arn,
            None,  # its role is used: no resource policy is asked
            (job.target.get("KinesisParameters") or {}).get("PartitionKey") or identity,
            self._clock(),
            identity,
            retry.get("MaximumRetryAttempts", MOST_ATTEMPTS),
            _age(job),
        )

    def _payload(self, job: Job, due: float, identity: str) -> str:
        """The schedule's Input with its context attributes, else Scheduler's own event."""
        arn = self.arn(job)
        given: str | None = job.target.get("Input")
        if given is None:
            return json.dumps(
                {
                    "version": "0",
                    "id": identity,
                    "detail-type": "Scheduled Event",
                    "source": "aws.scheduler",
                    "account": self.account,
                    "time": iso(due),
                    "region": self.region,
                    "resources": [arn],
                    "detail": "{}",
                }
            )
        attributes = {
            "schedule-arn": arn,
            "scheduled-time": iso(due),
            "execution-id": identity,
            "attempt-number": "1",
        }
        for name, value in attributes.items():
            given = given.replace(f"<aws.scheduler.{name}>", value)
        return given

    async def _all(self, prefix: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while page := await self._records.scan(prefix, after=after):
            found += [json.loads(record.value) for record in page]
            after = page[-1].key
        return found


def _age(job: Job) -> float:
    age: float = (job.target.get("RetryPolicy") or {}).get("MaximumEventAgeInSeconds", LONGEST_AGE)
    return age
