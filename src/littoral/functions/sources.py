"""Event source mappings: what they are, where records come from, and who follows whom.

Owns: the durable documents of mappings and their positions. A mapping's document holds the position in each shard from
which it began; what was worked off since is a small document per *lane* (``functions.lane``)::

    source/<uuid>                              the mapping
    checkpoint/<uuid>/<epoch>/<shard>/<lane>   the last position done with

A lane is a shard's records, or with a ParallelizationFactor of F those of every F-th partition key. When the factor
changes, the epoch does: the new lanes of a shard begin at the least of the old lanes' positions. Whatever is killed in
between, a record comes again rather than never.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from littoral.aws.service import ServiceError
from littoral.functions.names import not_found
from littoral.functions.windows import Window, window_from
from littoral.store.contract import Records, StoreError

log = logging.getLogger(__name__)
NOTHING_YET, FINE, FAILED = "No records processed", "OK", "PROBLEM: Function call failed"  # LastProcessingResult
AGAIN = 1.0  # seconds until a change that the disk refused is tried again


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record of a shard. ``position`` grows along the shard; ``body`` is what only its source understands."""

    position: int
    key: str  # records of one key stay in order
    arrived: float  # Unix seconds
    sequence: str  # how the record is named to functions, and by them in batchItemFailures
    size: int  # bytes of its event at most, the function's role left out
    body: Any


class EventSource(Protocol):
    """Where a mapping's records come from: ordered shards. The site hands in one for each kind of ARN.

    All raise ServiceError (ResourceNotFoundException) for what is not there, and StoreError.
    """

    batch_info: str  # the member of an on-failure record that says which records: "KinesisBatchInfo"

    def identity(self, arn: str) -> str:
        """What tells this source from a later one of the same name: its positions mean nothing there."""

    def shards(self, arn: str) -> Sequence[str]: ...

    async def position(self, arn: str, shard: str, start: str, moment: float | None) -> int:
        """The position before the first record wanted: TRIM_HORIZON, LATEST, or AT_TIMESTAMP ``moment``."""

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[SourceRecord]:
        """At most ``limit`` records after a position, of about ``max_bytes`` together; one at least if there is one."""

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        """Return when there is a record after ``after``, or ``wait`` seconds have passed."""

    def event(self, arn: str, shard: str, record: SourceRecord, role: str) -> dict[str, Any]:
        """The record as functions get it in ``Records``; ``role`` is the function's."""

    def filterable(self, record: SourceRecord) -> dict[str, Any]:
        """The record as filter patterns see it, its data decoded."""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A mapping as it is stored. Times are seconds, as in the API."""

    uuid: str
    source: str  # ARN
    identity: str  # of the source, as it gave it
    function: str  # name
    qualifier: str | None
    modified: float
    starting_position: str
    starts: dict[str, int]  # shard → the position after which to begin
    starting_timestamp: float | None = None
    enabled: bool = True
    deleting: bool = False
    epoch: int = 0
    batch_size: int = 100
    window: int = 0
    factor: int = 1
    bisect: bool = False
    retries: int = -1  # without limit
    max_age: int = -1  # without limit
    report_failures: bool = False
    filters: tuple[str, ...] = ()
    on_failure: str | None = None
    tumbling: int = 0  # seconds of a window; none
    tags: Mapping[str, str] = field(default_factory=dict)


class Positions:
    """The durable positions of lanes, and how each went last."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def load(self, mapping: SourceMapping, shard: str, lane: int) -> tuple[int, str | None, Window | None]:
        """The last position done with, how its batch went (None: there was none yet), and the open window."""
        record = await self._records.get(_lane_key(mapping, shard, lane))
        if record is None:
            return mapping.starts.get(shard, 0), None, None
        document = json.loads(record.value)
        return document["after"], document["result"], window_from(document.get("window"))

    async def save(
        self, mapping: SourceMapping, shard: str, lane: int, after: int, result: str, window: Window | None
    ) -> None:
        """At once: what was worked off, and what has been made of it."""
        document = {"after": after, "result": result, "window": window.document() if window is not None else None}
        await self._records.put(_lane_key(mapping, shard, lane), json.dumps(document).encode())

    async def forget(self, mapping: SourceMapping, *, but: int | None = None) -> None:
        """Remove the positions of all epochs ``but`` one."""
        kept = f"checkpoint/{mapping.uuid}/{but}/"
        while page := [
            record
            for record in await self._records.scan(f"checkpoint/{mapping.uuid}/")
            if but is None or not record.key.startswith(kept)
        ]:
            for record in page:
                await self._records.delete(record.key)


def _lane_key(mapping: SourceMapping, shard: str, lane: int) -> str:
    return f"checkpoint/{mapping.uuid}/{mapping.epoch}/{shard}/{lane:02d}"


class Following(Protocol):
    """What runs a mapping: its lanes."""

    result: str  # LastProcessingResult
    mapping: SourceMapping

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Return when no lane runs; a batch under way is finished first."""

    async def kill(self) -> None:
        """The same at once; a batch under way comes again."""


class Mappings:
    """All mappings of a place. ``follow`` makes what runs one."""

    def __init__(
        self,
        records: Records,
        sources: Mapping[str, EventSource],
        follow: Callable[[SourceMapping, EventSource, Positions], Following],
    ) -> None:
        self._records = records
        self._sources = sources
        self._follow = follow
        self._positions = Positions(records)
        self._mappings: dict[str, SourceMapping] = {}
        self._following: dict[str, Following] = {}
        self._changing: dict[str, asyncio.Task[None]] = {}
        self._started = False
        self._results: dict[str, str] = {}  # how those that do not run went last

    async def load(self) -> None:
        after = ""
        while page := await self._records.scan("source/", after=after):
            for record in page:
                given = json.loads(record.value)
                mapping = SourceMapping(**{**given, "filters": tuple(given["filters"])})
                self._mappings[mapping.uuid] = mapping
                for shard in mapping.starts:
                    self._results[mapping.uuid] = (await self._positions.load(mapping, shard, 0))[1] or NOTHING_YET
            after = page[-1].key

    async def start(self) -> None:
        """Go on with what is enabled, finish what was being deleted."""
        self._started = True
        for mapping in list(self._mappings.values()):
            if mapping.deleting:
                await self._remove(mapping)
            else:
                await self._run(mapping)

    async def close(self) -> None:
        """Stop at once; what was under way is not acknowledged and comes again."""
        for task in self._changing.values():
            task.cancel()
        await asyncio.gather(*self._changing.values(), return_exceptions=True)
        await asyncio.gather(*(following.kill() for following in self._following.values()))

    # ------------------------------------------------------------------------------------ for the API

    def source(self, arn: str) -> EventSource | None:
        """The source of that ARN's kind."""
        return next((source for prefix, source in self._sources.items() if arn.startswith(prefix)), None)

    def all(self) -> list[SourceMapping]:
        return [self._mappings[uuid] for uuid in sorted(self._mappings)]

    def get(self, uuid: str) -> SourceMapping:
        """Raises ResourceNotFoundException."""
        if uuid not in self._mappings:
            raise not_found("The resource you requested does not exist.")
        return self._mappings[uuid]

    def state(self, uuid: str) -> str:
        mapping = self._mappings[uuid]
        if mapping.deleting:
            return "Deleting"
        if uuid in self._changing:
            return "Updating"
        return "Enabled" if mapping.enabled else "Disabled"

    def result(self, uuid: str) -> str:
        """LastProcessingResult."""
        following = self._following.get(uuid)
        return following.result if following is not None else self._results.get(uuid, NOTHING_YET)

    async def create(self, mapping: SourceMapping) -> None:
        await self._put(mapping)
        await self._run(mapping)

    async def change(self, mapping: SourceMapping) -> None:
        """Durable when this returns. A batch under way is finished by the old word."""
        before = self.get(mapping.uuid)
        self._check_free(before)
        await self._put(mapping)
        following = self._following.get(mapping.uuid)
        if following is not None and (mapping.enabled, mapping.factor) == (before.enabled, before.factor):
            following.mapping = mapping  # read before every batch
            return
        self._later(mapping.uuid, lambda: self._restart(before, mapping))

    async def delete(self, uuid: str) -> None:
        mapping = self.get(uuid)
        self._check_free(mapping)
        mapping = replace(mapping, deleting=True)
        await self._put(mapping)
        self._later(uuid, lambda: self._remove(mapping))

    def _check_free(self, mapping: SourceMapping) -> None:
        if mapping.deleting or mapping.uuid in self._changing:
            message = "Cannot change the event source mapping because it is being changed: try again"
            raise ServiceError("ResourceInUseException", message, status=400, fields={"Type": "User"})

    # ------------------------------------------------------------------------------------ what runs

    def _later(self, uuid: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do it in a task of its own, again and again until it is done: the disk may refuse for a while."""

        async def run() -> None:
            try:
                while True:
                    try:
                        return await work()
                    except StoreError as error:
                        log.warning("event source mapping %s cannot be changed for now: %s", uuid, error)
                        await asyncio.sleep(AGAIN)
            finally:
                self._changing.pop(uuid, None)

        self._changing[uuid] = asyncio.get_running_loop().create_task(run())

    async def _run(self, mapping: SourceMapping) -> None:
        source = self.source(mapping.source)
        if not self._started or not mapping.enabled:
            return
        if source is None:
            log.warning("event source mapping %s: this place has no %s", mapping.uuid, mapping.source)
            return
        following = self._following[mapping.uuid] = self._follow(mapping, source, self._positions)
        await following.start()

    async def _restart(self, before: SourceMapping, mapping: SourceMapping) -> None:
        following = self._following.pop(mapping.uuid, None)
        if following is not None:
            await following.stop()
            self._results[mapping.uuid] = following.result
        if mapping.factor != before.factor and self._mappings[mapping.uuid].epoch == before.epoch:
            starts = {
                shard: min([(await self._positions.load(before, shard, lane))[0] for lane in range(before.factor)])
                for shard in before.starts
            }
            mapping = replace(mapping, starts=starts, epoch=before.epoch + 1)
            await self._put(mapping)
        mapping = self._mappings[mapping.uuid]
        await self._positions.forget(mapping, but=mapping.epoch)
        await self._run(mapping)

    async def _remove(self, mapping: SourceMapping) -> None:
        following = self._following.pop(mapping.uuid, None)
        if following is not None:
            await following.stop()
        await self._positions.forget(mapping)
        await self._records.delete(f"source/{mapping.uuid}")
        self._results.pop(mapping.uuid, None)
        self._mappings.pop(mapping.uuid, None)

    async def _put(self, mapping: SourceMapping) -> None:
        await self._records.put(f"source/{mapping.uuid}", json.dumps(asdict(mapping)).encode())
        self._mappings[mapping.uuid] = mapping
