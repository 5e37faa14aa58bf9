"""The queue of replications at work: what is due goes to its destination, of each key one version after another.

A destination that is away holds up nobody but itself and is asked again, sooner or later: soon where nobody answers,
for a link comes back without a word. Nothing is lost meanwhile, however long it takes. What it refuses is FAILED, and
tried again for a week: a policy may be mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.index import Index
from littoral.objects.replication.rows import CHANGE, LONGEST, MARKER, Due
from littoral.objects.replication.targets import Away, Declined, HereTarget, Never, Target, Unanswered
from littoral.store.contract import StoreError

log = logging.getLogger("littoral.objects")
TOGETHER = 4  # versions on their way to one destination
FIRST = 0.5  # seconds between two tries; at most LONGEST
LONGEST_UNANSWERED = 30.0  # where nobody answers
PATIENCE = 7 * 86400.0


class Replicator(Ongoing):
    """``start`` and ``close`` it. ``far`` are destinations elsewhere, by the bucket's name."""

    def __init__(
        self, index: Index, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.far: Mapping[str, Target] = {}
        self._index = index
        self._clock, self._monotonic = clock, monotonic
        self._awake = asyncio.Event()
        # by destination: asked again when (of the clock that nobody sets), and the pause after that
        self._away: dict[str, tuple[float, float]] = {}
        index.replicate = self._awake.set

    def target(self, bucket: str) -> Target:
        return self.far.get(bucket) or HereTarget(self._index, bucket, self._clock)

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            try:
                rounds = await asyncio.gather(*(self._round(name) for name in self._index.replication_targets()))
                pause = None if any(rounds) else self._pause()
            except (ServiceError, StoreError):
                log.exception("the queue of replications cannot be read or written; trying again")
                pause = LONGEST
            if pause is None:
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), pause or None)

    def _pause(self) -> float:
        """Seconds; 0 where nothing waits."""
        due = self._index.next_replication()
        if due is None:
            return 0.0
        until, now = due - self._clock(), self._monotonic()
        waiting = [at - now for at, _ in self._away.values() if at > now]
        return min(max(min([until, *waiting] if until > 0 else waiting or [0.0]), FIRST), LONGEST)

    async def _round(self, name: str) -> bool:
        """Whether something was done."""
        if self._away.get(name, (0.0, 0.0))[0] > self._monotonic():
            return False
        found = self._index.replications(name, self._clock(), TOGETHER)
        outcomes = await asyncio.gather(*(self._send(due) for due in found))
        if problems := [outcome for outcome in outcomes if outcome is not None]:
            unanswered = all(isinstance(problem, Unanswered) for problem in problems)
            longest = LONGEST_UNANSWERED if unanswered else LONGEST
            pause = min(longest, self._away.get(name, (0.0, FIRST))[1])
            self._away[name] = (self._monotonic() + pause, pause * 2)
            log.warning("replication to %s waits for %.1f s: %s", name, pause, problems[0])
        elif outcomes:
            self._away.pop(name, None)
        return any(outcome is None for outcome in outcomes)

    async def _send(self, due: Due) -> Away | None:
        target = self.target(due.target)
        try:
            if due.kind == MARKER:
                await target.mark(due.key, due.version)
            elif due.kind == CHANGE:
                await target.change(self._index.get(due.bucket, due.key, due.version))
            else:
                await target.send(self._index.get(due.bucket, due.key, due.version))
        except Away as problem:
            return problem
        except Declined as problem:
            await self._refused(due, problem)
        except ServiceError as gone:
            if gone.code not in ("NoSuchKey", "NoSuchVersion", "NoSuchBucket"):
                return Away(str(gone))
            await self._index.replicated(due)  # removed meanwhile: there is nothing to send
        except StoreError as problem:
            return Away(str(problem))
        else:
            await self._index.replicated(due)
        return None

    async def _refused(self, due: Due, problem: Declined) -> None:
        now = self._clock()
        over = isinstance(problem, Never) or now - due.made > PATIENCE
        later = None if over else now + min(LONGEST, FIRST * 2 ** min(due.attempts, 20))
        log.warning("%s of %s was not replicated to %s: %s", due.key, due.bucket, due.target, problem)
        await self._index.not_replicated(due, later)
