"""Bulk registration: a template carried out for each line of an object in a bucket.

Theory: a line is JSON, the parameters of one device; lines are taken in order, and what came of one is kept before the
next is begun, so a place that stops goes on behind the last line that it knows of. Tasks take turns.
In the end what succeeded and what failed lies beside the input, as two objects of JSON lines, and links lead there::

    {"lineNumber": 1, "offset": 0, "response": {"CertificatePem": "…", "ResourceArns": {"thing": "arn:…"}}}
    {"lineNumber": 2, "offset": 61, "error": {"code": "InvalidRequestException", "message": "…"}}
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from littoral.aws.service import ServiceError
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents
from littoral.things.jobs import JobObjects
from littoral.things.table import Table

log = logging.getLogger(__name__)

Json = dict[str, Any]
Register = Callable[[str, Mapping[str, str], float], Awaitable[Json]]
"""Carries out a template for some parameters: RegisterThing's output. Raises ServiceError."""

IN_PROGRESS: Final = "InProgress"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
CANCELLED: Final = "Cancelled"
CANCELLING: Final = "Cancelling"
RESULTS: Final = "RESULTS"
ERRORS: Final = "ERRORS"
LINK_LIFE: Final = 3600  # seconds
AGAIN: Final = 5.0  # seconds after which a disk that refused is asked again


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    body: str
    bucket: str
    key: str
    role: str
    created: float
    modified: float
    status: str = IN_PROGRESS
    message: str = ""
    succeeded: int = 0
    failed: int = 0
    lines: int = 0  # of the input; 0 until it was read

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Task:
        return cls(**found)

    @property
    def over(self) -> bool:
        return self.status not in (IN_PROGRESS, CANCELLING)

    def report(self, kind: str) -> str:
        """The key of a report, in the bucket of the input."""
        return f"{self.key}.{self.id}.{kind.lower()}"


class BulkRegistration:
    """``register`` is set by who composes. Without ``objects`` every task fails."""

    register: Register

    def __init__(self, records: Records, clock: Callable[[], float], objects: JobObjects | None) -> None:
        self.tasks: Table[Task] = Table(Documents(records, "bulktask/"), Task.to_json, Task.from_json)
        self.changing = asyncio.Lock()  # of tasks
        self._outcomes = Documents(records, "bulkoutcome/")
        self._clock = clock
        self._objects = objects
        self._wanted = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.tasks.load()

    def start(self) -> None:
        self._wanted.set()
        self._runner = asyncio.create_task(self._run(), name="bulk registration")

    async def close(self) -> None:
        """What is under way goes on at the next start."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def put(self, task: Task) -> None:
        """By who holds ``changing``. Durable on return."""
        await self.tasks.put(task.id, task)
        self._wanted.set()

    def links(self, task: Task, kind: str) -> list[str]:
        """Where the reports of a task that is over are to be had."""
        there = task.succeeded if kind == RESULTS else task.failed
        if not task.over or not there or self._objects is None:
            return []
        return [self._objects.presign(task.bucket, task.report(kind), LINK_LIFE)]

    # ------------------------------------------------------------------------------------------- running

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting = sorted((task for task in self.tasks.values() if not task.over), key=lambda task: task.created)
            try:
                for task in waiting:
                    await self._work(task.id)
            except StoreError as problem:
                log.warning("bulk registration waits for the disk: %s", problem)
                await asyncio.sleep(AGAIN)
                self._wanted.set()

    async def _change(self, task_id: str, **changes: Any) -> Task:
        async with self.changing:
            found = self.tasks.get(task_id)
            assert found is not None
            changed = replace(found, modified=self._clock(), **changes)
            await self.tasks.put(task_id, changed)
        return changed

    async def _work(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        assert task is not None
        try:
            lines = await self._read(task)
            outcomes = await self._kept(task_id)
            await self._take(await self._change(task_id, **_counted(outcomes), lines=len(lines)), lines, outcomes)
            await self._report(task, outcomes)
        except ServiceError as problem:
            await self._change(task_id, status=FAILED, message=f"{problem.code}: {problem.message}")
            return
        except StoreError:
            raise
        except Exception:
            log.exception("the thing registration task %s failed", task_id)
            await self._change(task_id, status=FAILED, message="An internal error occurred")
            return
        stopped = self._stopped(task_id)
        await self._change(task_id, **_counted(outcomes), status=CANCELLED if stopped else COMPLETED)
        for number in range(1, len(outcomes) + 1):
            await self._outcomes.delete(_key(task_id, number))

    async def _read(self, task: Task) -> list[tuple[int, bytes]]:
        """Each line that is not blank, and where it begins. Raises ServiceError."""
        if self._objects is None:
            raise ServiceError("NoSuchBucket", "This place keeps no objects", status=404)
        return list(_lines(await self._objects.read(task.bucket, task.key)))

    async def _kept(self, task_id: str) -> list[Json]:
        """What came of the lines that were taken before."""
        found: list[Json] = []
        after = ""
        while page := await self._outcomes.scan(f"{task_id}/", after=after):
            found.extend(document for _, document in page)
            after = page[-1][0]
        return found

    def _stopped(self, task_id: str) -> bool:
        task = self.tasks.get(task_id)
        return task is not None and task.status == CANCELLING

    async def _take(self, task: Task, lines: list[tuple[int, bytes]], outcomes: list[Json]) -> None:
        for number, (offset, line) in enumerate(lines, 1):
            if number <= len(outcomes):
                continue
            if self._stopped(task.id):
                return
            outcome = {"lineNumber": number, "offset": offset, **await self._outcome(task.body, line)}
            await self._outcomes.put(_key(task.id, number), outcome)
            outcomes.append(outcome)
            if number % 25 == 0:
                await self._change(task.id, **_counted(outcomes))

    async def _outcome(self, body: str, line: bytes) -> Json:
        try:
            made = await self.register(body, _parameters(line), self._clock())
        except ServiceError as problem:
            return {"error": {"code": problem.code, "message": problem.message}}
        return {"response": {"CertificatePem": made["certificatePem"], "ResourceArns": made["resourceArns"]}}

    async def _report(self, task: Task, outcomes: list[Json]) -> None:
        """Raises ServiceError where the bucket is gone."""
        assert self._objects is not None
        for kind, member in ((RESULTS, "response"), (ERRORS, "error")):
            chosen = [json.dumps(outcome) for outcome in outcomes if member in outcome]
            if chosen:
                data = ("\n".join(chosen) + "\n").encode()
                await self._objects.put(task.bucket, task.report(kind), data, "application/json")


def _key(task_id: str, number: int) -> str:
    return f"{task_id}/{number:09}"


def _counted(outcomes: list[Json]) -> dict[str, int]:
    failed = sum("error" in outcome for outcome in outcomes)
    return {"succeeded": len(outcomes) - failed, "failed": failed}


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for line in data.splitlines(keepends=True):
        if line.strip():
            yield offset, line.strip()
        offset += len(line)


def _parameters(line: bytes) -> dict[str, str]:
    """Raises ServiceError InvalidRequestException."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        message = "A line of the input is a JSON object whose values are texts"
        raise ServiceError("InvalidRequestException", message, status=400)
    return found
