"""One event of one caller, from its slot to its result: what is said of it in the log, what it counts, who is told.

Owns: what follows when its turn begins and when it ends. Who called may leave (``done`` is then cancelled): Lambda lets
the function finish, and so its slot stays taken until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from littoral.aws.invoke import InvokeResult
from littoral.functions import platformlog
from littoral.functions.catalog import Target
from littoral.functions.frames import LETTER, NAMED, event_about
from littoral.functions.instance import Instance
from littoral.functions.line import BATCH
from littoral.functions.logs import InvocationLog, Logs
from littoral.functions.logs.store import Channel
from littoral.functions.outcome import Outcome, billed_ms
from littoral.functions.platformlog import Report
from littoral.functions.streaming import Taker

if TYPE_CHECKING:
    from littoral.functions.pool import Pool

_new = tuple.__new__  # of a named tuple, without its own function


class Host(Protocol):
    """What all executions of a place have in common."""

    logs: Logs
    clock: Callable[[], float]
    log_bytes: int  # that one execution may write

    release: Callable[[Execution, bool], None]  # its slot and its instance are free; whether that may be used again

    def rest(self, execution: Execution, instance: Instance) -> None:
        """``release`` once what runs beside the runtime is done with it."""

    def grew(self, pool: Pool, instance: Instance, kib: int) -> None:
        """An instance has more memory resident than it was known to take."""

    def returned(self, execution: Execution) -> None:
        """Its instance did not begin it: another does."""

    def gave_up(self, execution: Execution, problem: Exception) -> None:
        """It ran nowhere."""


class Execution:
    __slots__ = (
        "_early",
        "_told",
        "_words",
        "about",
        "began",
        "cold",
        "context",
        "done",
        "group",
        "host",
        "instance",
        "payload",
        "placed",
        "pool",
        "request_id",
        "reserved",
        "short",
        "tail",
        "taker",
        "target",
        "trace",
    )

    def __init__(
        self,
        host: Host,
        pool: Pool,
        target: Target,
        request_id: str,
        payload: bytes,
        done: asyncio.Future[InvokeResult],
    ) -> None:
        self.host = host
        self.pool = pool
        self.target = target
        self.request_id = request_id
        self.payload = payload
        self.done = done
        about = self.about = target.about
        self.context = b""
        self.trace = ""
        self.short = pool.limit is None and NAMED + len(about) + len(payload) <= LETTER  # it may wait in a mailbox
        self.group = ""  # of its log; "": the version's own
        self.tail = False
        self.taker: Taker | None = None
        self.instance: Instance | None = None
        self.cold = False
        self.reserved = False  # its slot is of the function's reservation
        self.placed: asyncio.Future[None] | None = None  # somebody waits until it begins or cannot
        self.began = 0.0  # Unix seconds; 0 until then
        self._told = False  # its START is in the log
        self._early = b""  # printed before it was known to have begun
        self._words: InvocationLog | None = None

    def brings(self, context: bytes, trace: str, group: str = "") -> None:
        """A client context, an X-Ray header, a log group that is not the version's own."""
        self.context, self.trace, self.group = context, trace, group
        self.about = event_about(self.target.arn, self.pool.timeout, context, trace, group)
        self.short = self.short and NAMED + len(self.about) + len(self.payload) <= LETTER

    def streams(self, taker: Taker) -> None:
        """Its response is read while it is made."""
        self.taker = taker
        self.short = False

    @property
    def timeout(self) -> float:
        return self.pool.timeout

    @property
    def arn(self) -> str:
        return self.target.arn

    # ------------------------------------------------------------------------------------ its log

    @property
    def channel(self) -> Channel:
        return self.host.logs.channel(self.group) if self.group else self.pool.channel

    def follows(self, opening: InvocationLog) -> None:
        """It is the first of its instance: ``opening`` has what was said in the init phase."""
        self.cold = True
        if self.tail or opening.unfinished:
            self._words = opening

    def tell(self) -> None:
        """Write that it has begun: it may take long."""
        if self.began and not self._told:
            self._told = True
            lines = platformlog.started(self.pool.version, self.request_id, self.began)
            if self._words is not None:
                self._words.lines(*lines)
            elif lines:
                assert self.instance is not None
                self.channel.pending.append((self.began, self.instance.stream, [line.encode() for line in lines]))

    def _speak(self) -> InvocationLog:
        """From now on all that is said of it is written as it is said."""
        words = self._words
        if words is None:
            assert self.instance is not None
            group = self.group or self.pool.version.log_group
            logs, limit = self.host.logs, self.host.log_bytes
            words = self._words = InvocationLog(logs, group, self.instance.stream, limit, keeps=self.tail)
        self.tell()
        return words

    def printed(self, data: bytes) -> None:
        if self.began:
            self.pool.pace.spoke()
            self._speak().printed(data)
        else:  # it has begun before its turn was known to have come
            self._early += data

    # ------------------------------------------------------------------------------------ its turn

    def run_on(self, instance: Instance) -> None:
        self.instance = instance
        instance.submit(self)

    def begins(self) -> None:
        if self.began:
            return
        host = self.host
        self.began = host.clock()
        if host.logs.asleep:
            host.logs.wake()
        if self.tail:
            self._speak()
        if self._early:
            early, self._early = self._early, b""
            self.printed(early)
        if self.placed is not None and not self.placed.done():
            self.placed.set_result(None)

    def concluded(self, outcome: Outcome) -> None:
        host, pool, instance = self.host, self.pool, self.instance
        assert instance is not None
        kind, duration, kib = outcome.kind, outcome.duration, outcome.memory_kib
        init = instance.init_seconds if self.cold else None
        began = 0.0 if self._told else self.began
        error = b"" if kind == "ok" or kind == "error" else outcome.payload  # noqa: PLR1714 - no tuple to search
        report: Report = _new(
            Report,
            (instance.stream, pool.version, self.request_id, began, host.clock(), kind, error, duration, kib, init),
        )
        words = self._words
        if words is None:
            channel = host.logs.channel(self.group) if self.group else pool.channel
            channel.pending.append(report)
            self._told = True
            if host.logs.asleep:
                host.logs.wake()
        else:
            words.lines(*platformlog.ended(report))
        if kind == "ok" and not self.cold:
            pool.fresh.append(duration)
        else:
            billed = billed_ms(duration, init)
            cold = (init or 0.0) if self.cold else None
            pool.tally.concluded(outcome, billed, pool.version.memory_size, cold)
        pace = pool.pace
        took = pace.took
        took.append(outcome.said or duration)
        if len(took) >= BATCH:
            pace.reckon()
            pool.tally.settle()
        if kib > instance.peak_kib:
            instance.peak_kib = kib
            host.grew(pool, instance, kib)
        if instance.rests and outcome.usable:
            host.rest(self, instance)
        else:
            host.release(self, outcome.usable)
        done = self.done
        if not done.done():
            failed = None if kind == "ok" else "Unhandled"
            tail = words.tail if words is not None and self.tail else b""
            result = (outcome.payload, failed, pool.version.version, tail, self.cold, duration)
            done.set_result(_new(InvokeResult, result))

    def returned(self) -> None:
        self.short = False  # it has waited in a mailbox
        self.host.returned(self)

    def refused(self, problem: Exception) -> None:
        """It has a slot, and cannot be run."""
        self.host.gave_up(self, problem)
        self.fail(problem)

    def fail(self, problem: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(problem)
        if self.placed is not None and not self.placed.done():
            self.placed.set_result(None)
