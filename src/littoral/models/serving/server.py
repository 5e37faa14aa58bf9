"""The models that a place serves: loaded when they are asked for, as many as memory holds, each in its own process.

A process that ends takes nothing with it: its model is loaded anew for those who wait, and whoever was in the batch
that it ended with is tried once more, each by itself, so that a request that ends processes harms itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from littoral.models.serving.answers import Answer, Artifact, Ask, CannotServe
from littoral.models.serving.process import Gone, Heard, Limits, ModelProcess, answers, late
from littoral.models.serving.shelf import Full, Shelf
from littoral.protocols.batching import Batcher
from littoral.store.contract import StoreError

log = logging.getLogger("littoral.models")

MiB: Final = 1024 * 1024
BASE: Final = 96 * MiB  # that a process takes without a model
MOST_ASKS: Final = 64  # in one batch
MOST_BATCH: Final = 64 * MiB  # of bodies
ROOM: Final = 1024  # requests that wait for one model
AHEAD: Final = 2  # batches that a process has: the one that runs, and the next
MEASURED: Final = 64  # batches between two looks at the memory

Confine = Callable[[Sequence[str]], Sequence[str]]


class Server:
    """``memory`` bytes for all models together; ``spare``: a process is at hand for the next model, always."""

    def __init__(self, confine: Confine, memory: int, limits: Limits | None = None, *, spare: bool = True) -> None:
        self._confine = confine
        self._ahead = spare
        self._limits = limits or Limits(memory)
        self._shelf = Shelf(memory, self._limits.most)
        self._served: dict[str, _Served] = {}
        self._spare: asyncio.Task[ModelProcess] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def infer(self, artifact: Artifact, ask: Ask) -> Answer:
        """Raises CannotServe."""
        served = self._of(artifact)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not served.add(Waiting(ask, future)):
            raise CannotServe("busy", f"{ROOM} requests wait for this model already")
        return await future

    async def load(self, artifact: Artifact) -> list[str]:
        """Have it in memory; the providers that it runs on. Raises CannotServe."""
        served = self._of(artifact)
        await asyncio.shield(served.loaded)
        return served.providers

    def loaded(self) -> list[str]:
        """The digests of what is in memory."""
        return sorted({each.artifact.sha256 for each in self._served.values() if each.ready})

    def prepare(self) -> None:
        """Have a process at hand for the next model."""
        if self._spare is None and not self._closed:
            self._spare = asyncio.ensure_future(ModelProcess.start(self._confine))
            self._spare.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def close(self) -> None:
        self._closed = True
        for key in list(self._served):
            self.unload(key, CannotServe("gone", "this place is stopping"))
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            (found,) = await asyncio.gather(spare, return_exceptions=True)
            if isinstance(found, ModelProcess):
                await found.close()
        await asyncio.gather(*self._ending)

    # ------------------------------------------------------------------------------------------------ parts

    def _of(self, artifact: Artifact) -> _Served:
        """Raises CannotServe where there is no memory for it."""
        if self._closed:
            raise CannotServe("gone", "this place is stopping")
        served = self._served.get(artifact.key)
        if served is not None:
            self._shelf.used(artifact.key)
            return served
        try:
            leaving = self._shelf.admit(artifact.key, BASE + 2 * artifact.size, self._busy)
        except Full as problem:
            raise CannotServe("busy", str(problem)) from problem
        self._leave(leaving)
        served = self._served[artifact.key] = _Served(self, artifact)
        return served

    def _busy(self, key: str) -> bool:
        return self._served[key].busy

    def _leave(self, keys: Sequence[str]) -> None:
        for key in keys:
            log.info("a model goes for others: %s", key)
            self.unload(key, CannotServe("busy", "the model went for others"))

    def unload(self, key: str, why: CannotServe) -> None:
        served = self._served.pop(key, None)
        self._shelf.drop(key)
        if served is not None:
            task = asyncio.ensure_future(served.end(why))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def process(self, artifact: Artifact) -> tuple[ModelProcess, list[str]]:
        """One with the model in it. Raises CannotServe, Gone."""
        self.prepare()
        spare, self._spare = self._spare, None
        assert spare is not None
        found = await spare
        try:
            providers = await found.load(artifact, self._limits)
        except BaseException as problem:
            await found.close()
            if isinstance(problem, StoreError):
                raise CannotServe("gone", f"the model's file cannot be read: {problem}") from problem
            raise
        if self._ahead:
            self.prepare()
        return found, providers

    def measured(self, key: str, memory: int) -> None:
        if memory and key in self._shelf:
            self._leave(self._shelf.grown(key, memory, self._busy))

    @property
    def seconds(self) -> float:
        return self._limits.seconds


@dataclass(eq=False, slots=True)
class Waiting:
    ask: Ask
    future: asyncio.Future[Answer]
    tried: bool = False  # a process ended with it


@dataclass(slots=True)
class _AtWork:
    """A batch that was sent."""

    batch: list[tuple[Waiting, int]]
    heard: asyncio.Future[Heard]
    since: float  # when it was sent, or the one before was answered


class _Served:
    """One model: who waits for it, and its process. While a batch runs the next is there already."""

    def __init__(self, server: Server, artifact: Artifact) -> None:
        self._server = server
        self.artifact = artifact
        self.providers: list[str] = []
        self._batcher: Batcher[Waiting] = Batcher(most=MOST_ASKS, most_size=MOST_BATCH, room=ROOM, wait=artifact.wait)
        self._process: ModelProcess | None = None
        self._at_work: deque[_AtWork] = deque()
        self._suspects: list[Waiting] = []  # a process ended with them, and they are tried by themselves
        self._batches = 0
        self._more = asyncio.Event()
        self.loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.loaded.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._task = asyncio.ensure_future(self._work())

    @property
    def ready(self) -> bool:
        return self._process is not None

    @property
    def busy(self) -> bool:
        return bool(self._at_work) or len(self._batcher) > 0 or not self.loaded.done()

    def add(self, waiting: Waiting) -> bool:
        taken = self._batcher.add(waiting, len(waiting.ask.body), time.monotonic())
        self._more.set()
        return taken

    async def _work(self) -> None:
        try:
            while True:
                if self._process is None:
                    self._process = await self._begun()
                await self._turn(self._process)
        except CannotServe as problem:
            self._server.unload(self.artifact.key, problem)
        except Exception as problem:  # whoever waits is told, and the next request begins anew
            log.exception("serving a model failed")
            self._server.unload(self.artifact.key, CannotServe("gone", f"the model cannot be served: {problem}"))

    async def _begun(self) -> ModelProcess:
        """Raises CannotServe."""
        try:
            process, self.providers = await self._server.process(self.artifact)
        except Gone as problem:
            raise CannotServe("model", f"the model cannot be loaded: {problem}") from problem
        self._server.measured(self.artifact.key, process.memory)
        if not self.loaded.done():
            self.loaded.set_result(None)
        return process

    async def _turn(self, process: ModelProcess) -> None:
        """What was answered is handed out, what is due is sent; then nothing until there is more."""
        self._more.clear()
        now = time.monotonic()
        try:
            while self._at_work and self._at_work[0].heard.done():
                self._answered(self._at_work[0], process)
                self._at_work.popleft()
                if self._at_work:
                    self._at_work[0].since = now
            if self._at_work and self._at_work[0].since + self._server.seconds <= now:
                raise late(self._server.seconds)
        except Gone as problem:
            await self._lost(process, problem)
            return
        while len(self._at_work) < self._most_ahead() and (taken := self._batcher.take(now)):
            batch = [each for each in taken if not each[0].future.done()]
            if batch:
                heard = process.batch([waiting.ask for waiting, _ in batch])
                heard.add_done_callback(lambda _: self._more.set())
                self._at_work.append(_AtWork(batch, heard, now))
        await self._until(now)

    def _most_ahead(self) -> int:
        """One at a time while somebody is suspected: a process may end at the second before it has told the first one's
        answer, and then the first would be blamed."""
        if self._suspects:
            self._suspects = [each for each in self._suspects if not each.future.done()]
        return 1 if self._suspects else AHEAD

    async def _until(self, now: float) -> None:
        """Something was answered or asked, or it is time."""
        times = [self._at_work[0].since + self._server.seconds] if self._at_work else []
        due = self._batcher.due() if len(self._at_work) < self._most_ahead() else None
        if due is not None:
            times.append(due)
        if not times:
            await self._more.wait()
            return
        timer = asyncio.get_running_loop().call_later(max(0.0, min(times) - now), self._more.set)
        try:
            await self._more.wait()
        finally:
            timer.cancel()

    def _answered(self, done: _AtWork, process: ModelProcess) -> None:
        """Raises Gone."""
        for (waiting, _), answer in zip(done.batch, answers(done.heard.result(), len(done.batch)), strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, CannotServe):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)
        self._batches += 1
        if self._batches % MEASURED == 1:
            self._server.measured(self.artifact.key, process.memory)

    async def _lost(self, process: ModelProcess, problem: Gone) -> None:
        """The process is gone. It was at its oldest batch: whoever was in that is tried again once, by itself; what it
        had not begun comes again as it was."""
        overdue = self._at_work[0].since + self._server.seconds <= time.monotonic()
        why = CannotServe("model", str(problem if overdue else await process.ended()))
        self._process = None
        await process.close()
        first, *others = self._at_work
        self._at_work.clear()
        now = time.monotonic()
        for other in reversed(others):
            self._batcher.again(other.batch, now, alone=False)
        if overdue and len(first.batch) == 1:
            first.batch[0][0].tried = True
        for waiting, _ in first.batch:
            if waiting.tried and not waiting.future.done():
                waiting.future.set_exception(why)
        again = [each for each in first.batch if not each[0].tried]
        for waiting, _ in again:
            waiting.tried = True
        self._suspects += [waiting for waiting, _ in again]
        self._batcher.again(again, now, alone=True)

    async def end(self, why: CannotServe) -> None:
        """Whoever waits is told why."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        left = [each for at_work in self._at_work for each, _ in at_work.batch]
        self._at_work.clear()
        while batch := self._batcher.take(float("inf")):
            left += [each for each, _ in batch]
        for each in left:
            if not each.future.done():
                each.future.set_exception(why)
        if not self.loaded.done():
            self.loaded.set_exception(why)
        if self._process is not None:
            await self._process.close()
