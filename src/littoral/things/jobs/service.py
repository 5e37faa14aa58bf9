"""Jobs as this place keeps them: what a device asks of its executions, and who is told of a change.

Theory: ``protocols/jobs`` decides; this file stores the decision durably and only then tells of it. Changes of one
thing's executions run one after another, so that its notifications are in order; those of different things share
commits. What a job as a whole does in time is ``progress``.

======================================  ============================================================================
``$aws/things/T/jobs/notify``           its list of pending executions gained or lost one
``$aws/things/T/jobs/notify-next``      another execution is the next one
``…-namespace-N``                       the same of the jobs of a namespace, which the two above leave out
======================================  ============================================================================
"""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from littoral.protocols.jobs import execution as core
from littoral.protocols.jobs.document import fill, substitute
from littoral.protocols.jobs.execution import Execution, JobsError, Update
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.things.events import Events
from littoral.things.jobs.events import JobEvents
from littoral.things.jobs.executions import Executions
from littoral.things.jobs.facts import RUNNING, Job, Template
from littoral.things.names import Names
from littoral.things.table import Table

log = logging.getLogger(__name__)

Json = dict[str, Any]
Publish = Callable[[str, bytes], Awaitable[None]]
NEXT = "$next"


class JobObjects(Protocol):
    """Where documents and what they point at are kept, and the input and reports of bulk registration."""

    async def read(self, bucket: str, key: str, most: int | None = None) -> bytes:
        """Of what has more than ``most`` bytes a part that is longer. Raises ServiceError: NoSuchBucket, NoSuchKey."""

    def presign(self, bucket: str, key: str, seconds: int) -> str:
        """A URL by which anybody may get the object for so long."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        """Durable on return. Raises ServiceError NoSuchBucket."""


class Jobs:
    """``publish`` sends a message on a topic; ``clock`` gives Unix seconds.

    Without ``objects`` no job has a document in a bucket, or a placeholder for an object.

    ``on_change`` is told of each change of an execution, by its job's id.
    """

    def __init__(
        self,
        records: Records,
        names: Names,
        publish: Publish,
        clock: Callable[[], float],
        events: Events,
        objects: JobObjects | None = None,
    ) -> None:
        self.table: Table[Job] = Table(Documents(records, "job/"), Job.to_json, Job.from_json)
        self.templates: Table[Template] = Table(
            Documents(records, "jobtemplate/"), Template.to_json, Template.from_json
        )
        self.executions = Executions(Documents(records, "jobexecution/"))
        self.events = JobEvents(names, events)
        self.objects = objects
        self.clock = clock
        self.on_change: Callable[[str], None] = lambda job: None
        self._publish = publish
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def open(self) -> None:
        for table in (self.table, self.templates, self.executions):
            await table.load()

    # --------------------------------------------------------------------------------------- what a device asks

    def pending(self, thing: str) -> Json:
        """inProgressJobs and queuedJobs."""
        found = self._pending(thing, "")
        return {
            "inProgressJobs": [_summary(one) for one in found if one.status == core.IN_PROGRESS],
            "queuedJobs": [_summary(one) for one in found if one.status == core.QUEUED],
        }

    def _pending(self, thing: str, namespace: str) -> list[Execution]:
        """Those of one namespace, in their order."""
        found = self.executions.pending(thing)
        return [one for one in found if (job := self.table.get(one.job)) is None or job.namespace == namespace]

    def describe(
        self, thing: str, job: str, *, document: bool = True, number: int | None = None, namespace: str = ""
    ) -> Json | None:
        """The execution; None where ``$next`` is asked for and nothing is pending. Raises JobsError."""
        if job == NEXT:
            found = next(iter(self._pending(thing, namespace)), None)
            return None if found is None else self.shown(found, document=document)
        execution = self._existing(thing, job, number)
        if not execution.pending:
            raise JobsError("TerminalStateReached", f"The execution is {execution.status}", execution)
        return self.shown(execution, document=document)

    def _existing(self, thing: str, job: str, number: int | None) -> Execution:
        found = self.executions.get(thing, job)
        if found is None or number not in (None, found.number):
            raise JobsError("ResourceNotFound", f"{thing} has no such execution of job {job}")
        return found

    async def start_next(self, thing: str, details: Mapping[str, str] | None, step: int | None) -> Json | None:
        """The next execution, begun where it only waited; None where there is none. Raises JobsError."""
        async with self._lock(thing):
            found = next(iter(self._pending(thing, "")), None)
            if found is None:
                core.check_details(details)
                return None
            minutes = self._job(found.job).settings.minutes
            begun = core.start(found, self.clock(), minutes=minutes, details=details, step=step)
            if begun is not found:
                await self._store(begun)
            return self.shown(begun)

    async def update(self, thing: str, job: str, asked: Update) -> Execution:
        """The execution as it became; where that means another attempt, still the one that ended. Raises JobsError."""
        async with self._lock(thing):
            execution = self._existing(thing, job, None)
            now = self.clock()
            changed = core.update(execution, asked, now, minutes=self._job(job).settings.minutes)
            await self._store(self._again(changed, now))
            return changed

    # ------------------------------------------------------------------------------------ what else may happen

    async def change(self, thing: str, job: str, decide: Callable[[Execution | None], Execution | None]) -> None:
        """``decide`` gets the execution there is, and gives what it becomes; None for no execution. What it raises
        changes nothing."""
        async with self._lock(thing):
            before = self.executions.get(thing, job)
            after = decide(before)
            if after is None and before is not None:
                await self._store(before, gone=True)
            elif after is not None and after is not before:
                await self._store(after)

    async def time_out(self, thing: str, job: str) -> None:
        now = self.clock()

        def decide(execution: Execution | None) -> Execution | None:
            if execution is None:
                return None
            return self._again(core.time_out(execution, now), now)

        await self.change(thing, job, decide)

    def _again(self, execution: Execution, now: float) -> Execution:
        job = self._job(execution.job)
        return core.again(execution, job.settings.retries, now) if job.status == RUNNING else execution

    # ------------------------------------------------------------------------------------------------- telling

    async def _store(self, execution: Execution, *, gone: bool = False) -> None:
        """Under the thing's lock: what devices are told keeps its order."""
        thing = execution.thing
        job = self.table.get(execution.job)
        namespace = job.namespace if job is not None else ""
        suffix = f"-namespace-{namespace}" if namespace else ""
        before = self._pending(thing, namespace)
        await (self.executions.delete(execution) if gone else self.executions.put(execution))
        after = self._pending(thing, namespace)
        self.on_change(execution.job)
        await self.events.execution(execution, self.clock(), deleted=gone)
        if _identities(before) != _identities(after):
            await self._tell(thing, f"notify{suffix}", {"jobs": self._by_status(after)})
        if _identities(before[:1]) != _identities(after[:1]):
            shown = {"execution": self.shown(after[0])} if after else {}
            await self._tell(thing, f"notify-next{suffix}", shown)

    def _by_status(self, found: list[Execution]) -> Json:
        grouped: dict[str, list[Json]] = {}
        for execution in found:
            grouped.setdefault(execution.status, []).append(_summary(execution))
        return grouped

    async def _tell(self, thing: str, what: str, message: Json) -> None:
        whole = {"timestamp": int(self.clock()), **message}
        await self._publish(f"$aws/things/{thing}/jobs/{what}", json.dumps(whole, separators=(",", ":")).encode())

    def shown(self, execution: Execution, *, document: bool = True) -> Json:
        """As MQTT carries it: the document is a JSON value."""
        shown: Json = {
            **_summary(execution),
            "thingName": execution.thing,
            "status": execution.status,
            "statusDetails": dict(execution.details),
        }
        left = core.seconds_left(execution, self.clock())
        if left is not None:
            shown["approximateSecondsBeforeTimedOut"] = left
        if document:
            shown["jobDocument"] = json.loads(self.document(execution.job))
        return shown

    def document(self, job: str) -> str:
        """With URLs that are good from now on."""
        found = self._job(job)
        document = found.document if found.parameters is None else fill(found.document, found.parameters)
        if self.objects is None:
            return document
        presign = self.objects.presign
        return substitute(document, lambda bucket, key: presign(bucket, key, found.settings.expires))

    def _job(self, job: str) -> Job:
        found = self.table.get(job)
        if found is None:  # deleted between two steps
            raise JobsError("ResourceNotFound", f"There is no job {job}")
        return found

    def _lock(self, thing: str) -> asyncio.Lock:
        lock = self._locks.get(thing)
        if lock is None:
            self._locks[thing] = lock = asyncio.Lock()
        return lock


def _identities(found: list[Execution]) -> set[tuple[str, int]]:
    return {(execution.job, execution.number) for execution in found}


def _summary(execution: Execution) -> Json:
    summary = {
        "jobId": execution.job,
        "queuedAt": int(execution.queued),
        "lastUpdatedAt": int(execution.updated),
        "executionNumber": execution.number,
        "versionNumber": execution.version,
    }
    return summary if execution.started is None else {**summary, "startedAt": int(execution.started)}
