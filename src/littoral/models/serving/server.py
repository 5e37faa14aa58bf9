"""The models that a place serves: loaded when they are asked for, as many as memory holds, each in its own process.

A process that ends takes nothing with it: its model is loaded anew for those who wait, and a batch that it ended with
is tried again one by one, so that a request that ends processes harms itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from littoral.models.serving.answers import Answer, Artifact, Ask, CannotServe
from littoral.models.serving.process import Gone, Limits, ModelProcess
from littoral.models.serving.shelf import Full, Shelf
from littoral.protocols.batching import Batcher
from littoral.store.contract import StoreError

log = logging.getLogger("littoral.models")

MiB: Final = 1024 * 1024
BASE: Final = 96 * MiB  # that a process takes without a model
MOST_ASKS: Final = 64  # in one batch
MOST_BATCH: Final = 64 * MiB  # of bodies
ROOM: Final = 1024  # requests that wait for one model
MEASURED: Final = 64  # batches between two looks at the memory

Confine = Callable[[Sequence[str]], Sequence[str]]
Waiting = tuple[Ask, asyncio.Future[Answer]]


class Server:
    """``memory`` bytes for all models together."""

    def __init__(self, confine: Confine, memory: int, limits: Limits | None = None) -> None:
        self._confine = confine
        self._limits = limits or Limits(memory)
        self._shelf = Shelf(memory)
        self._served: dict[str, _Served] = {}
        self._spare: asyncio.Task[ModelProcess] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def infer(self, artifact: Artifact, ask: Ask) -> Answer:
        """Raises CannotServe."""
        served = self._of(artifact)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not served.add((ask, future)):
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
        self.prepare()
        return found, providers

    def measured(self, key: str, memory: int) -> None:
        if memory and key in self._shelf:
            self._leave(self._shelf.grown(key, memory, self._busy))

    @property
    def seconds(self) -> float:
        return self._limits.seconds


class _Served:
    """One model: who waits for it, and its process."""

    def __init__(self, server: Server, artifact: Artifact) -> None:
        self._server = server
        self.artifact = artifact
        self.providers: list[str] = []
        self._batcher: Batcher[Waiting] = Batcher(most=MOST_ASKS, most_size=MOST_BATCH, room=ROOM, wait=artifact.wait)
        self._process: ModelProcess | None = None
        self._at_work: list[tuple[Waiting, int]] = []
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
        taken = self._batcher.add(waiting, len(waiting[0].body), time.monotonic())
        self._more.set()
        return taken

    async def _work(self) -> None:
        try:
            while True:
                if self._process is None:
                    await self._begin()
                await self._due()
                await self._batch()
        except CannotServe as problem:
            self._server.unload(self.artifact.key, problem)
        except Exception as problem:  # whoever waits is told, and the next request begins anew
            log.exception("serving a model failed")
            self._server.unload(self.artifact.key, CannotServe("gone", f"the model cannot be served: {problem}"))

    async def _begin(self) -> None:
        """Raises CannotServe."""
        try:
            self._process, self.providers = await self._server.process(self.artifact)
        except Gone as problem:
            raise CannotServe("model", f"the model cannot be loaded: {problem}") from problem
        self._server.measured(self.artifact.key, self._process.memory)
        if not self.loaded.done():
            self.loaded.set_result(None)

    async def _due(self) -> None:
        while (due := self._batcher.due()) is None or due > time.monotonic():
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else due - time.monotonic()):
                    await self._more.wait()

    async def _batch(self) -> None:
        assert self._process is not None
        batch = [each for each in self._batcher.take(time.monotonic()) if not each[0][1].done()]
        if not batch:
            return
        self._at_work = batch
        try:
            answers = await self._process.batch([ask for (ask, _), _ in batch], self._server.seconds)
        except Gone as problem:
            self._at_work = []
            await self._lost(batch, problem)
            return
        self._at_work = []  # but not where this was cancelled: ``end`` tells them
        for ((_, future), _), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, CannotServe):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._batches += 1
        if self._batches % MEASURED == 1:
            self._server.measured(self.artifact.key, self._process.memory)

    async def _lost(self, batch: list[tuple[Waiting, int]], problem: Gone) -> None:
        """The process is gone: one request is told so, several are tried again one by one."""
        process, self._process = self._process, None
        if process is not None:
            await process.close()
        if len(batch) > 1:
            self._batcher.again(batch, time.monotonic())
        elif not batch[0][0][1].done():
            batch[0][0][1].set_exception(CannotServe("model", str(problem)))

    async def end(self, why: CannotServe) -> None:
        """Whoever waits is told why."""
        if self._task is not asyncio.current_task():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        at_work, self._at_work = self._at_work, []
        waiting = [each for each, _ in at_work]
        while batch := self._batcher.take(float("inf")):
            waiting += [each for each, _ in batch]
        for _, future in waiting:
            if not future.done():
                future.set_exception(why)
        if not self.loaded.done():
            self.loaded.set_exception(why)
        if self._process is not None:
            await self._process.close()
