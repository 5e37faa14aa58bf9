"""The rule engine: matched messages wait in a durable stream and their actions run at least once.

The way of a message:

1. What ``offer`` returns is awaited before the sender's PUBACK. QoS 1: what a rule's WHERE lets through is appended
   to the stream ``things.rules``, one entry per rule. QoS 0: the actions are started at once, in memory, as weakly as
   QoS 0 promises.
2. The consumer fetches entries; those of one rule and topic run in order, others side by side.
3. What may pass (a throttle, a full disk) is tried again with growing delays; what will not, or has been tried
   ``MAX_TRIES`` times, goes to the rule's error action. Then the entry is acknowledged.

Promise: after PUBACK of a QoS 1 message every action of every matching rule is done at least once or reported to the
error action; after ``kill -9`` too. A message that carries a message id is stored once per rule, however often it is
sent within the stream's dedupe window. Not promised: order between topics, or after a failure; one run only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from littoral.protocols.iotsql import Asked, Context, EvaluationError
from littoral.store.contract import Consumer, Message, Outgoing, Retention, StreamFull, Streams
from littoral.store.documents import Documents
from littoral.things.rules.actions import Sinks
from littoral.things.rules.definition import CompiledRule, Metrics, RuleRecord
from littoral.things.rules.entries import context_of, entry, lane_of, rule_of
from littoral.things.rules.run import Run
from littoral.things.table import Table

log = logging.getLogger(__name__)

STREAM: Final = "things.rules"
MAX_TRIES: Final = 8
MAX_WAITING: Final = 100_000  # entries not yet acknowledged; beyond, senders get no PUBACK
MAX_DIRECT: Final = 10_000  # QoS 0 messages in progress; beyond, they are dropped and counted
BATCH: Final = 200

Changed = Callable[[str, CompiledRule | None], None]


def delay_before(attempt: int) -> float:
    """Seconds to wait before try ``attempt`` (2, 3, …): 0.25, 0.5, 1 … 16."""
    return float(min(0.25 * 2 ** (attempt - 2), 16.0))


class RuleEngine:
    def __init__(self, documents: Documents, streams: Streams, sinks: Sinks, *, account: str) -> None:
        self._table: Table[RuleRecord] = Table(documents, RuleRecord.to_json, RuleRecord.from_json)
        self._streams = streams
        self._sinks = sinks
        self._account = account
        self.note = sinks.note
        self._rules: dict[str, CompiledRule] = {}
        self._runs: dict[int, Run] = {}
        self._consumer: Consumer | None = None
        self._worker: asyncio.Task[None] | None = None
        self._direct: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._listeners: list[Changed] = []
        self.changing = asyncio.Lock()

    # ------------------------------------------------------------------------------------------ lifecycle

    async def open(self) -> None:
        await self._table.load()
        for record in self._table.values():
            self._rules[record.name] = CompiledRule(record)
        # One entry more than may wait, so that the stream never drops what is not acknowledged.
        await self._streams.create(STREAM, Retention(max_messages=MAX_WAITING + BATCH, discard="old"))
        self._consumer = await self._streams.consumer(STREAM, "actions", ack_wait=120.0)
        self._waiting = await self._consumer.pending()

    def start(self) -> None:
        self._worker = asyncio.create_task(self._consume(), name="rule engine")

    async def close(self) -> None:
        """What is in progress at QoS 0 is let go; what is durable comes again at the next start."""
        tasks = [*self._direct, *([self._worker] if self._worker is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._worker = None

    # -------------------------------------------------------------------------------------------- rules

    @property
    def records(self) -> Table[RuleRecord]:
        return self._table

    def on_change(self, listener: Changed) -> None:
        """Told of each rule that is new or changed, or (None) gone or disabled; also of those there already."""
        self._listeners.append(listener)
        for name, rule in self._rules.items():
            listener(name, None if rule.record.disabled else rule)

    async def put(self, record: RuleRecord) -> None:
        compiled = CompiledRule(record)
        if (before := self._rules.get(record.name)) is not None:
            compiled.metrics = before.metrics
        await self._table.put(record.name, record)
        self._rules[record.name] = compiled
        self._tell(record.name, None if record.disabled else compiled)

    async def delete(self, name: str) -> None:
        await self._table.delete(name)
        self._rules.pop(name, None)
        self._tell(name, None)

    def _tell(self, name: str, rule: CompiledRule | None) -> None:
        for listener in self._listeners:
            listener(name, rule)

    def active(self, name: str) -> CompiledRule | None:
        rule = self._rules.get(name)
        return None if rule is None or rule.record.disabled else rule

    def metrics(self) -> dict[str, Metrics]:
        return {name: rule.metrics for name, rule in self._rules.items()}

    async def pending(self) -> int:
        """Entries whose actions are not yet done."""
        return 0 if self._consumer is None else await self._consumer.pending()

    # -------------------------------------------------------------------------------------------- intake

    def offer(
        self, rule: CompiledRule, context: Context, *, qos: int, message_id: str | None
    ) -> Awaitable[None] | None:
        """What the sender's acknowledgement must wait for; None when that is nothing.

        Awaiting raises StreamFull or StorageFailed: then the sender must not be told that we have it.
        """
        if not self._matches(rule, context):
            return None
        self.note("INFO", "RuleMatch", rule.name, context)
        if qos == 0:
            self._run_directly(rule, context)
            return None
        return self._append(rule, context, entry(rule.name, context, message_id))

    def _note_throttled(self, rule: CompiledRule, context: Context) -> None:
        about = {"reason": "RuleExecutionThrottled", "details": f"Message for Rule {rule.name} throttled"}
        self.note("ERROR", "RuleMessageThrottled", rule.name, context, lambda: about)

    async def _append(self, rule: CompiledRule, context: Context, message: Outgoing) -> None:
        if self._waiting >= MAX_WAITING:
            rule.metrics.throttled += 1
            self._note_throttled(rule, context)
            raise StreamFull(f"{self._waiting} rule actions are waiting")
        self._waiting += 1
        try:
            await self._streams.publish(STREAM, [message])
        except BaseException:
            self._waiting -= 1
            raise

    @staticmethod
    def _matches(rule: CompiledRule, context: Context) -> bool:
        """A message that cannot be evaluated counts as matched, so that its failure is reported; one that waits for
        an external function is taken, and counted when it was evaluated."""
        rule.metrics.evaluated += 1
        try:
            matched = rule.rule.evaluate(context) is not None
        except EvaluationError:
            matched = True
        except Asked:
            return True
        if rule.rule.external:
            return matched
        rule.metrics.matched += matched
        return matched

    def _run_directly(self, rule: CompiledRule, context: Context) -> None:
        if len(self._direct) >= MAX_DIRECT:
            rule.metrics.throttled += 1
            self._note_throttled(rule, context)
            return
        task = asyncio.create_task(
            self._direct_run(Run(rule, replace(context, trace_id=context.trace_id or str(uuid.uuid4()))))
        )
        self._direct.add(task)
        task.add_done_callback(self._direct.discard)

    async def _direct_run(self, run: Run) -> None:
        for attempt in (1, 2, 3):
            if await run.step(self._sinks, last=attempt == 3):
                return
            await asyncio.sleep(delay_before(attempt + 1))

    # ------------------------------------------------------------------------------------------- consumer

    async def _consume(self) -> None:
        assert self._consumer is not None
        while True:
            try:
                batch = await self._consumer.fetch(BATCH, wait=30.0)
                await self._work_off(self._consumer, batch)
                self._waiting = await self._consumer.pending()  # a repeated message was counted but not stored
            except Exception:
                log.exception("rule engine: a batch failed and will come again")
                await asyncio.sleep(1.0)

    async def _work_off(self, consumer: Consumer, batch: Sequence[Message]) -> None:
        lanes: dict[tuple[str, str], list[Message]] = {}
        for message in batch:
            lanes.setdefault(lane_of(message), []).append(message)
        await asyncio.gather(*[self._work_lane(consumer, lane) for lane in lanes.values()])

    async def _work_lane(self, consumer: Consumer, lane: Sequence[Message]) -> None:
        finished: list[int] = []
        try:
            for message in lane:
                if await self._work(message):
                    finished.append(message.sequence)
                else:
                    await consumer.retry(message.sequence, delay=delay_before(message.deliveries + 1))
        finally:
            if finished:
                await asyncio.shield(consumer.ack(finished))

    async def _work(self, message: Message) -> bool:
        """True when the entry is finished: done, given up, or of no rule any more."""
        run = self._runs.get(message.sequence)
        if run is None:
            rule = self.active(rule_of(message))
            if rule is None:
                return True
            run = Run(rule, context_of(message, self._account))
        finished = await run.step(self._sinks, last=message.deliveries >= MAX_TRIES)
        if finished:
            self._runs.pop(message.sequence, None)
        else:
            self._runs[message.sequence] = run
        return finished

    async def settled(self) -> None:
        """Returns when nothing waits and nothing runs; for drains and tests."""
        while self._direct or await self.pending():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.gather(*self._direct, return_exceptions=True), 1.0)
            await asyncio.sleep(0.01)
