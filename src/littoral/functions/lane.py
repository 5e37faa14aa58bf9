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
import json
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions.batch import Outcome, Part, failure_record, reported
from littoral.functions.gathering import Followed, Gathering
from littoral.functions.names import Reference, new_request_id
from littoral.functions.sources import FAILED, FINE, SourceRecord
from littoral.functions.windows import Window, start_of, state_of
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)


class Lane(Gathering):
    def __init__(self, follower: Followed, shard: str, number: int, after: int, window: Window | None) -> None:
        super().__init__(follower, shard, number, after, window)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End after the attempt that is under way."""
        self._stopping = True
        if self._idle:
            self.task.cancel()

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
        done = reported(result.payload, records) if mapping.report_failures else len(records)
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
                batch = (self._source.batch_info, self._shard, records)
                home, now = self._hands.catalog.home, self._hands.clock()
                record = failure_record(mapping, home, now, batch, condition, attempts, outcome)
                await self._hand_on(mapping.on_failure, record)
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
            await deliveries.sink.deliver(destination, record)
            return
        reference = self._hands.catalog.home.parse(destination)
        self._hands.catalog.version(reference)
        info = record[self._source.batch_info]
        # the same id for the same records, so that a repetition after a crash is dropped
        name = f"{self._mapping.uuid}/{info['startSequenceNumber']}/{info['endSequenceNumber']}"
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        await deliveries.accept(reference, request_id, json.dumps(record).encode())
