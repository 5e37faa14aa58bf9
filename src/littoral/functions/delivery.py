"""Asynchronous invocations: kept durably, run by workers, retried, then handed to a destination.

Owns: what becomes of each event (``queues`` keeps them). An event is acknowledged to its sender once it is in a stream,
and to it once the function succeeded or its destination has it, so a killed place runs it again (at least once).

==================  ===============================================================================
what came           then
==================  ===============================================================================
success             on-success destination, done
function error      again after 1 and 2 minutes (at most ``MaximumRetryAttempts``), then on-failure destination
                    and dead-letter target; both get the invocation record, for a stream has no attributes
throttle, 5xx       again after 1 s, 2 s, 4 s … 5 minutes, until ``MaximumEventAgeInSeconds``
function deleted    done, with a line in the place's log
a loop of calls     on-failure destination and dead-letter target (``lineage``)
==================  ===============================================================================
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.functions.catalog import Catalog, Target
from littoral.functions.lineage import MOST, calls
from littoral.functions.names import LATEST, Reference
from littoral.functions.queues import EventQueue, EventQueues
from littoral.functions.runner import Runner
from littoral.functions.settings import FunctionSettings
from littoral.functions.sinks import Sink, Sinks
from littoral.functions.version import iso_time
from littoral.store.contract import Message, Outgoing, Records, StoreError, Streams

log = logging.getLogger(__name__)

MAX_AGE = 21_600  # seconds
MAX_RETRIES = 2
MAX_HOPS = 16  # Lambda stops a loop of functions after about so many


@dataclass(frozen=True, slots=True)
class Policy:
    """How the events of one target are treated."""

    retries: int
    max_age: float
    on_failure: str | None
    on_success: str | None


def policy_of(target: Target) -> Policy:
    config = target.function.event_configs.get(target.qualifier) or {}
    destinations = config.get("DestinationConfig") or {}
    retries, age = config.get("MaximumRetryAttempts"), config.get("MaximumEventAgeInSeconds")
    return Policy(
        MAX_RETRIES if retries is None else retries,
        MAX_AGE if age is None else age,
        (destinations.get("OnFailure") or {}).get("Destination"),
        (destinations.get("OnSuccess") or {}).get("Destination"),
    )


class Deliveries:
    def __init__(
        self,
        streams: Streams,
        records: Records,
        catalog: Catalog,
        runner: Runner,
        settings: FunctionSettings,
        clock: Callable[[], float],
        sink: Sink | None = None,
    ) -> None:
        self._queues = EventQueues(streams, settings.deliveries, self._deliver)
        self._records = records
        self._catalog = catalog
        self._runner = runner
        self._settings = settings
        self._clock = clock
        self.sink = Sinks(sink)
        self._throttles: dict[tuple[str, int], int] = {}  # how often an event was refused, by function and sequence

    async def open(self) -> None:
        await self._queues.open(lambda function: self._catalog.find(function) is not None)

    def start(self) -> None:
        self._queues.start()

    async def close(self) -> None:
        """Stop. What was under way is not acknowledged and comes again at the next start."""
        await self._queues.close()

    async def accept(
        self,
        reference: Reference,
        request_id: str,
        payload: bytes,
        context: bytes = b"",
        *,
        hops: int = 0,
        trace: str = "",
    ) -> None:
        """Durable when this returns. Raises ServiceError (ServiceException) when the store refuses."""
        headers = {
            "function": reference.name,
            "qualifier": reference.qualifier or "",
            "request": request_id,
            "context": context.decode(),
            "hops": str(hops),
            "trace": trace,
        }
        try:
            await self._queues.publish(reference.name, Outgoing(payload, request_id, headers))
        except StoreError as error:
            raise ServiceError("ServiceException", f"The event could not be kept: {error}", status=500) from error

    async def _deliver(self, queue: EventQueue, message: Message) -> None:
        try:
            delay = await self._attempt(queue, message)
            queue.under_way.discard(message.sequence)  # before the retry: it may come again while that is written
            if delay is not None:
                await queue.consumer.retry(message.sequence, delay=delay)
        except StoreError as error:  # not acknowledged: it comes again
            log.warning("event %s is put off: %s", message.headers["request"], error)
        except Exception:
            log.exception("event %s failed for a reason of ours; it will come again", message.headers["request"])
        finally:
            queue.under_way.discard(message.sequence)

    async def _attempt(self, queue: EventQueue, message: Message) -> float | None:
        """Run the event and settle what came of it; the seconds after which it is to run again, if it is."""
        headers = message.headers
        try:
            target = self._catalog.resolve(Reference(headers["function"], headers["qualifier"] or None))
        except ServiceError as error:
            log.warning("event %s is dropped: %s", headers["request"], error)
            return await self._finish(queue, message)
        policy = policy_of(target)
        if self._clock() - message.published_at > policy.max_age:
            attempts = await self._failures(queue, message)
            return await self._give_up(queue, message, target, policy, "EventAgeExceeded", None, attempts)
        trace = headers.get("trace", "")
        if calls(trace, target.function.name) > MOST and target.function.recursive_loop != "Allow":
            log.warning("a loop of functions through %s was stopped", target.arn)
            return await self._give_up(queue, message, target, policy, "RetriesExhausted", None, 0)
        context = headers["context"].encode()
        try:
            result = await self._runner.run(target, headers["request"], message.data, context, trace=trace)
        except ServiceError as error:
            return await self._throttled(queue, message, target, policy, error)
        self._throttles.pop((queue.function, message.sequence), None)
        if result.function_error is not None:
            return await self._failed(queue, message, target, policy, result)
        await self._hand_on(message, target, policy.on_success, "Success", result, 1)
        return await self._finish(queue, message)

    async def _throttled(
        self, queue: EventQueue, message: Message, target: Target, policy: Policy, error: ServiceError
    ) -> float | None:
        if target.function.reserved == 0:  # Lambda does not wait for a function that is switched off
            return await self._give_up(queue, message, target, policy, "RetriesExhausted", None, 0)
        key = (queue.function, message.sequence)
        count = self._throttles[key] = self._throttles.get(key, 0) + 1
        first, longest = self._settings.throttle_delays
        delay: float = min(longest, first * 2 ** min(count - 1, 30))
        log.info("event %s waits %.1f s: %s", message.headers["request"], delay, error)
        return delay

    async def _failed(
        self, queue: EventQueue, message: Message, target: Target, policy: Policy, result: InvokeResult
    ) -> float | None:
        failures = await self._failures(queue, message) + 1
        if failures > policy.retries:
            return await self._give_up(queue, message, target, policy, "RetriesExhausted", result, failures)
        await self._records.put(f"attempt/{queue.function}/{message.sequence}", str(failures).encode())
        delays = self._settings.retry_delays
        return delays[min(failures, len(delays)) - 1]

    async def _failures(self, queue: EventQueue, message: Message) -> int:
        record = await self._records.get(f"attempt/{queue.function}/{message.sequence}")
        return int(record.value) if record is not None else 0

    async def _give_up(
        self,
        queue: EventQueue,
        message: Message,
        target: Target,
        policy: Policy,
        condition: str,
        result: InvokeResult | None,
        attempts: int,
    ) -> float | None:
        log.info("event %s of %s is given up: %s", message.headers["request"], target.arn, condition)
        await self._hand_on(message, target, policy.on_failure, condition, result, attempts)
        await self._hand_on(message, target, target.version.dead_letter or None, condition, result, attempts)
        return await self._finish(queue, message)

    async def _hand_on(
        self,
        message: Message,
        target: Target,
        destination: str | None,
        condition: str,
        result: InvokeResult | None,
        attempts: int,
    ) -> None:
        """The record goes out before the event is acknowledged; its id makes a repetition harmless."""
        if destination is None:
            return
        record = self._record(message, target, condition, result, attempts)
        if ":lambda:" not in destination:
            await self.sink.deliver(destination, record)
            return
        hops = int(message.headers["hops"]) + 1
        if hops >= MAX_HOPS and target.function.recursive_loop != "Allow":
            log.warning("a loop of functions through %s was stopped after %d steps", destination, hops)
            return
        reference = self._catalog.home.parse(destination)
        # The same id for the same record, so that the stream's dedupe drops a repetition.
        request_id = str(uuid.uuid5(uuid.UUID(message.headers["request"]), condition))
        await self.accept(reference, request_id, json.dumps(record).encode(), hops=hops)

    def _record(
        self, message: Message, target: Target, condition: str, result: InvokeResult | None, attempts: int
    ) -> dict[str, Any]:
        """AWS's invocation record (documentation: "Capturing records of Lambda asynchronous invocations")."""
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": iso_time(self._clock()),
            "requestContext": {
                "requestId": message.headers["request"],
                "functionArn": self._catalog.home.arn(target.function.name, target.qualifier or LATEST),
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": json.loads(message.data),
        }
        if result is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": result.executed_version}
            if result.function_error is not None:
                record["responseContext"]["functionError"] = result.function_error
            record["responsePayload"] = _said(result.payload)
        return record

    async def _finish(self, queue: EventQueue, message: Message) -> float | None:
        """Done with it: nothing is to run again."""
        await queue.consumer.ack([message.sequence])
        self._throttles.pop((queue.function, message.sequence), None)
        if await self._failures(queue, message):
            await self._records.delete(f"attempt/{queue.function}/{message.sequence}")
        return None


def _said(payload: bytes) -> Any:
    """What a function answered; a runtime of its own may answer what is not JSON."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")
