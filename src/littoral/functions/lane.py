"""A lane: the records of a shard (or of some of its keys), gathered into batches and given to a function, in order.

What becomes of a batch (Lambda developer guide, "How Lambda processes records from stream and queue-based event
sources"):

======================  ==============================================================================
what came               then
======================  ==============================================================================
success                 its last position is saved, the next batch
reported failures       what is before the first of them is done; the rest again
function error          the two halves one after the other (BisectBatchOnFunctionError), else again, after
                        a wait that doubles, at most MaximumRetryAttempts times
throttle, 5xx           again, without counting
given up, too old       a record to the on-failure destination, then the next batch
======================  ==============================================================================

How often a batch failed is memory only: after a restart it is tried as often again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.functions.catalog import Catalog
from littoral.functions.delivery import Deliveries
from littoral.functions.names import LATEST, Reference, new_request_id, not_found
from littoral.functions.payload import MAX_SYNC
from littoral.functions.runner import Runner
from littoral.functions.settings import FunctionSettings
from littoral.functions.sources import FAILED, FINE, NOTHING_YET, EventSource, Positions, SourceMapping, SourceRecord
from littoral.functions.version import iso_time
from littoral.functions.windows import Window, start_of, state_of
from littoral.protocols.eventpattern import Matcher, parse_pattern
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

LONGEST_WAIT = 20.0  # seconds without a look at the shard: a record that comes wakes the lane at once
ROLE_LENGTH = 256  # bytes that a function's role takes in a record at most


@dataclass(slots=True)
class Hands:
    """What a lane works with."""

    catalog: Catalog
    runner: Runner
    deliveries: Deliveries
    settings: FunctionSettings
    clock: Callable[[], float]


@dataclass(slots=True)
class Part:
    """Records that go to the function together, and how often they failed."""

    records: Sequence[SourceRecord]
    failures: int = 0


@dataclass(slots=True)
class Outcome:
    """Of one attempt. ``done`` records from the front are worked off; None where the function did not run."""

    done: int | None
    request_id: str
    result: InvokeResult | None = None
    state: dict[str, Any] | None = None  # of the window


@dataclass(eq=False)
class Follower:
    """A mapping's lanes."""

    mapping: SourceMapping
    source: EventSource
    positions: Positions
    hands: Hands
    result: str = NOTHING_YET
    _lanes: list[Lane] = field(default_factory=list)

    async def start(self) -> None:
        for shard in self.mapping.starts:
            for number in range(self.mapping.factor):
                after, result, window = await self.positions.load(self.mapping, shard, number)
                self.result = result or self.result
                self._lanes.append(Lane(self, shard, number, after, window))

    async def stop(self) -> None:
        for lane in self._lanes:
            lane.stop()
        await asyncio.gather(*(lane.task for lane in self._lanes), return_exceptions=True)

    async def kill(self) -> None:
        for lane in self._lanes:
            lane.task.cancel()
        await asyncio.gather(*(lane.task for lane in self._lanes), return_exceptions=True)


class Lane:
    def __init__(self, follower: Follower, shard: str, number: int, after: int, window: Window | None) -> None:
        self._follower = follower
        self._hands = follower.hands
        self._source = follower.source
        self._shard = shard
        self._number = number
        self._of = follower.mapping.factor
        self._after = after  # the last position done with
        self._window = window  # that is open, where the mapping has windows
        self._exhausted = False  # there was nothing more of it when we looked last
        self._stopping = False
        self._idle = False  # nothing is under way that must be finished
        self._patterns: tuple[tuple[str, ...], list[Matcher]] = ((), [])
        self.task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End after the attempt that is under way."""
        self._stopping = True
        if self._idle:
            self.task.cancel()

    @property
    def _mapping(self) -> SourceMapping:
        return self._follower.mapping

    async def _run(self) -> None:
        troubles = 0
        while not self._stopping:
            try:
                records, cursor = await self._gather()
                await self._work_off(records)
                if cursor > self._after and not self._stopping:
                    await self._save(cursor)
                await self._close_window()
                troubles = 0
            except (ServiceError, StoreError) as error:
                troubles += 1
                log.warning("event source mapping %s, %s: %s", self._mapping.uuid, self._shard, error)
                self._follower.result = f"PROBLEM: {error}"
                await self._pause(troubles)
            except Exception:
                troubles += 1
                log.exception("event source mapping %s failed for a reason of ours", self._mapping.uuid)
                await self._pause(troubles)

    async def _pause(self, count: int) -> None:
        first, longest = self._hands.settings.source_delays
        self._idle = True
        try:
            await asyncio.sleep(min(longest, first * 2 ** min(count - 1, 30)))
        finally:
            self._idle = False

    async def _save(self, after: int) -> None:
        result = self._follower.result
        await self._follower.positions.save(self._mapping, self._shard, self._number, after, result, self._window)
        self._after = after

    # ------------------------------------------------------------------------------------ gathering

    async def _gather(self) -> tuple[list[SourceRecord], int]:
        """The next batch and the position up to which was looked: what was passed over is done with, too."""
        records: list[SourceRecord] = []
        cursor, room = self._after, MAX_SYNC - 1024  # bytes of the event
        loop = asyncio.get_running_loop()
        deadline = 0.0
        self._exhausted = False
        while not self._stopping:
            mapping = self._mapping
            if self._source.identity(mapping.source) != mapping.identity:
                raise not_found(f"{mapping.source} is not the one that was mapped: it was deleted and made anew")
            limit = max(1, mapping.batch_size - len(records)) * self._of
            read = await self._source.read(mapping.source, self._shard, cursor, limit, MAX_SYNC)
            for record in read:
                if self._is_later(record, records):
                    self._exhausted = not records
                    return records, cursor
                if self._mine(record) and self._wanted(record):
                    room -= record.size + ROLE_LENGTH
                    if records and (room < 0 or len(records) >= mapping.batch_size):
                        return records, cursor
                    records.append(record)
                cursor = record.position
            if len(records) >= mapping.batch_size:
                return records, cursor
            if read:
                continue
            if not records:
                if cursor > self._after:
                    return records, cursor
                if self._window is not None and self._window_left() <= 0:
                    self._exhausted = True
                    return records, cursor
                await self._wait(cursor, self._window_left())
                continue
            deadline = deadline or loop.time() + mapping.window
            if loop.time() >= deadline:
                return records, cursor
            await self._wait(cursor, deadline - loop.time())
        return [], self._after

    async def _wait(self, cursor: int, seconds: float) -> None:
        self._idle = True
        try:
            await self._source.arrived(self._mapping.source, self._shard, cursor, min(seconds, LONGEST_WAIT))
        finally:
            self._idle = False

    def _is_later(self, record: SourceRecord, records: Sequence[SourceRecord]) -> bool:
        """Whether it belongs to a later window than what is gathered or open."""
        seconds = self._mapping.tumbling
        if not seconds or not (records or self._window):
            return False
        now = self._window.start if self._window is not None else start_of(records[0].arrived, seconds)
        return start_of(record.arrived, seconds) > now

    def _window_left(self) -> float:
        """Seconds until the open window is over; a long time where none is."""
        if self._window is None:
            return LONGEST_WAIT
        return self._window.start + self._mapping.tumbling - self._hands.clock()

    def _mine(self, record: SourceRecord) -> bool:
        if self._of == 1:
            return True
        digest = hashlib.md5(record.key.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[8:], "big") % self._of == self._number

    def _wanted(self, record: SourceRecord) -> bool:
        """Whether one of the filters lets it through."""
        filters = self._mapping.filters
        if not filters:
            return True
        if self._patterns[0] != filters:
            self._patterns = (filters, [parse_pattern(text) for text in filters])
        seen = self._source.filterable(record)
        return any(matches(seen) for matches in self._patterns[1])

    # ------------------------------------------------------------------------------------ working off

    async def _work_off(self, records: Sequence[SourceRecord]) -> None:
        """Return when all are done with, or when the lane is to stop."""
        parts = [Part(records)] if records else []
        throttles = 0
        while parts and not self._stopping:
            part = parts.pop(0)
            part = await self._without_old(part)
            if not part.records:
                continue
            outcome = await self._attempt(part.records)
            if outcome.done is None:
                throttles += 1
                parts.insert(0, part)
                await self._pause(throttles)
                continue
            throttles = 0
            self._follower.result = FINE if outcome.done == len(part.records) else FAILED
            if outcome.done:
                if outcome.state is not None and self._window is not None:
                    self._window.state = outcome.state
                await self._save(part.records[outcome.done - 1].position)
            if outcome.done:
                await self._hand_over_early()
            if outcome.done == len(part.records):
                continue
            parts[:0] = await self._again(part, outcome)

    async def _close_window(self) -> None:
        """The last word on a window that is over: the function gets what it has made of it. Nothing goes on before
        that has succeeded."""
        if not self._mapping.tumbling:
            self._window = None
            return
        if self._exhausted and self._window is not None and self._window_left() <= 0:
            await self._say_of_window(final=True, early=False)
            if not self._stopping:
                self._window = None
                await self._save(self._after)

    async def _hand_over_early(self) -> None:
        """A state that has grown too large is given back, and the window goes on with a fresh one."""
        if self._window is not None and self._window.too_large:
            await self._say_of_window(final=False, early=True)
            if not self._stopping:
                self._window.state = {}
                await self._save(self._after)

    async def _say_of_window(self, *, final: bool, early: bool) -> None:
        failures = 0
        while not self._stopping:
            outcome = await self._attempt((), final=final, early=early)
            if outcome.result is not None and outcome.result.function_error is None:
                return
            failures += 1
            self._follower.result = FAILED if outcome.result is not None else self._follower.result
            await self._pause(failures)

    async def _again(self, part: Part, outcome: Outcome) -> list[Part]:
        """What is to be tried of a part that failed."""
        assert outcome.done is not None
        mapping = self._mapping
        rest = part.records[outcome.done :]
        failures = 1 if outcome.done else part.failures + 1  # it went on a bit: the rest starts anew
        if mapping.bisect and len(rest) > 1 and not outcome.done:
            middle = len(rest) // 2
            return [Part(rest[:middle]), Part(rest[middle:])]
        if mapping.retries >= 0 and failures > mapping.retries:
            await self._give_up(rest, "RetryAttemptsExhausted", failures, outcome)
            return []
        await self._pause(failures)
        return [Part(rest, failures)]

    async def _without_old(self, part: Part) -> Part:
        """Give up the records that are older than the mapping wants."""
        if self._mapping.max_age < 0:
            return part
        oldest = self._hands.clock() - self._mapping.max_age
        old = 0
        while old < len(part.records) and part.records[old].arrived < oldest:
            old += 1
        if old:
            await self._give_up(part.records[:old], "RecordAgeExceeded", part.failures, Outcome(0, new_request_id()))
        return Part(part.records[old:], part.failures)

    async def _attempt(self, records: Sequence[SourceRecord], *, final: bool = False, early: bool = False) -> Outcome:
        mapping = self._mapping
        request_id = new_request_id()
        if mapping.tumbling and self._window is None:
            self._window = Window(start_of(records[0].arrived, mapping.tumbling))
        try:
            target = self._hands.catalog.resolve(Reference(mapping.function, mapping.qualifier))
            role = target.version.role
            event = {"Records": [self._source.event(mapping.source, self._shard, each, role) for each in records]}
            if self._window is not None:
                seconds = mapping.tumbling
                event |= self._window.event(seconds, self._shard, mapping.source, final=final, early=early)
            result = await self._hands.runner.run(target, request_id, json.dumps(event).encode())
        except ServiceError as error:
            log.info("event source mapping %s waits: %s", mapping.uuid, error)
            self._follower.result = f"PROBLEM: {error.message or error.code}"
            return Outcome(None, request_id)
        if result.function_error is not None:
            return Outcome(0, request_id, result)
        done = _reported(result.payload, records) if mapping.report_failures else len(records)
        state = state_of(result.payload) if self._window is not None else None
        if self._window is not None and state is None and not final:
            return Outcome(0, request_id, result)  # what it made of them would be lost
        return Outcome(done, request_id, result, state)

    async def _give_up(self, records: Sequence[SourceRecord], condition: str, attempts: int, outcome: Outcome) -> None:
        """Hand the record of the failure on, then go past the records. Waits until the destination has it."""
        mapping = self._mapping
        log.info("%d records of %s are given up: %s", len(records), mapping.source, condition)
        troubles = 0
        while mapping.on_failure is not None:
            try:
                await self._hand_on(mapping.on_failure, self._failure(records, condition, attempts, outcome))
                break
            except (ServiceError, StoreError) as error:
                troubles += 1
                log.warning("the destination %s refuses: %s", mapping.on_failure, error)
                self._follower.result = f"PROBLEM: the on-failure destination refuses: {error}"
                await self._pause(troubles)
                mapping = self._mapping
        await self._save(records[-1].position)

    async def _hand_on(self, destination: str, record: dict[str, Any]) -> None:
        deliveries = self._hands.deliveries
        if ":lambda:" not in destination:
            if deliveries.sink is None:
                raise ServiceError("ServiceException", "there is no way to this destination", status=500)
            await deliveries.sink.deliver(destination, record)
            return
        reference = self._hands.catalog.home.parse(destination)
        self._hands.catalog.version(reference)
        info = record[self._source.batch_info]
        # the same id for the same records, so that a repetition after a crash is dropped
        name = f"{self._mapping.uuid}/{info['startSequenceNumber']}/{info['endSequenceNumber']}"
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        await deliveries.accept(reference, request_id, json.dumps(record).encode())

    def _failure(
        self, records: Sequence[SourceRecord], condition: str, attempts: int, outcome: Outcome
    ) -> dict[str, Any]:
        """AWS's record of a batch that was given up ("Retain discarded records of a stream")."""
        mapping = self._mapping
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": outcome.request_id,
                "functionArn": self._hands.catalog.home.arn(mapping.function, mapping.qualifier or LATEST),
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "version": "1.0",
            "timestamp": iso_time(self._hands.clock()),
            self._source.batch_info: {
                "shardId": self._shard,
                "startSequenceNumber": records[0].sequence,
                "endSequenceNumber": records[-1].sequence,
                "approximateArrivalOfFirstRecord": iso_time(records[0].arrived),
                "approximateArrivalOfLastRecord": iso_time(records[-1].arrived),
                "batchSize": len(records),
                "streamArn": mapping.source,
            },
        }
        if outcome.result is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": outcome.result.executed_version}
            if outcome.result.function_error is not None:
                record["responseContext"]["functionError"] = outcome.result.function_error
        return record


def _reported(payload: bytes, records: Sequence[SourceRecord]) -> int:
    """How many records from the front are done, by the function's batchItemFailures. What is no proper report, or
    names a record that was not given, fails the whole batch, as at AWS."""
    answer = json.loads(payload)
    if answer is None or answer == {}:
        return len(records)
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else "none"
    if failures is None:
        return len(records)
    if not isinstance(failures, list):
        return 0
    places = {record.sequence: place for place, record in enumerate(records)}
    named = [str(each.get("itemIdentifier")) if isinstance(each, dict) else "" for each in failures]
    if not all(name in places for name in named):
        return 0
    return min((places[name] for name in named), default=len(records))
