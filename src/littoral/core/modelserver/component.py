"""littoral.ModelServer at work: a message on a model's topic in is a request, its answer goes to the topic out.

A publisher with QoS 1 is acknowledged after the answer was published, so what a crash cuts off comes again. The server
does not hear what it says itself: no answer goes round. A new version may have to stand a trial beside the one that
serves (``trial``); until that is over the deployment is, too, in progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from littoral.core.modelserver.ports import ModelFile, ModelPlace, NotServed
from littoral.core.modelserver.settings import NAME, Served, served_of
from littoral.core.modelserver.trial import Trial
from littoral.core.ports import Broker, Subscription
from littoral.core.recipe import BadComponent
from littoral.protocols.mqtt.topics import BadTopic

log = logging.getLogger(__name__)

MOST_ANSWER: Final = 1024 * 1024  # bytes of a message


@dataclass(eq=False, slots=True)
class _Running:
    served: Served
    subscription: Subscription | None = None
    asked: int = 0  # messages that have no answer yet
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    trial: Trial | None = None  # of the next version

    def answered(self) -> None:
        self.asked -= 1
        if not self.asked:
            self.idle.set()

    async def end(self) -> None:
        """When what was asked before is answered."""
        if self.subscription is not None:
            self.subscription.close()
        if self.asked:
            self.idle.clear()
            await self.idle.wait()


class ModelServer:
    """``folder`` is that of all artifacts; ``begin`` is called with the first model. A model whose new version cannot
    be loaded goes on as it was."""

    def __init__(self, folder: Path, broker: Broker, begin: Callable[[], ModelPlace]) -> None:
        self._folder = folder
        self._broker = broker
        self._begin = begin
        self.place: ModelPlace | None = None  # once there was a model
        self._running: dict[str, _Running] = {}
        self._alike: set[tuple[str, frozenset[str]]] = set()  # digests that stood trial: going back needs none

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        wanted = {each.model.name: each for each in served_of(configuration or {})}
        if self.place is None:
            if not wanted:
                return
            self.place = self._begin()
        place, problems = self.place, []
        leaving = [self._running.pop(name) for name in self._running.keys() - wanted.keys()]
        for name, served in wanted.items():
            before = self._running.get(name)
            if before is not None and before.served == served:
                continue
            try:
                await place.load(self._file(served))
                if before is not None:
                    await self._try(place, before, served)
            except NotServed as problem:
                problems.append(f"the model {name} of {served.model.component} {served.version}: {problem}")
                continue
            self._serve(place, served)
            leaving += [before] if before is not None else []
        for each in leaving:
            await each.end()
        await place.keep({each.served.sha256 for each in self._running.values()})
        if problems:
            raise BadComponent("; ".join(problems))

    def files(self) -> list[ModelFile]:
        """Of what serves now."""
        return [self._file(each.served) for _, each in sorted(self._running.items())]

    @contextlib.asynccontextmanager
    async def asking(self, name: str) -> AsyncIterator[ModelFile]:
        """Asked otherwise than by message: what serves now stays until this is left. Raises NotServed."""
        running = self._running.get(name)
        if running is None:
            raise NotServed(f"there is no model {name}")
        running.asked += 1
        try:
            yield self._file(running.served)
        finally:
            running.answered()

    async def _try(self, place: ModelPlace, before: _Running, served: Served) -> None:
        """The new version answers as the one that serves, within what its trial allows. Raises NotServed."""
        bounds, digests = served.model.trial, frozenset((before.served.sha256, served.sha256))
        tried = (served.model.name, digests)
        if bounds is None or len(digests) == 1 or tried in self._alike:
            return
        samples = self._folder / served.samples if served.samples else None
        ask = [partial(place.infer, self._file(each)) for each in (before.served, served)]
        before.trial = Trial(bounds, ask[0], ask[1], samples)
        try:
            await before.trial.passed()
        finally:
            before.trial = None
        self._alike.add(tried)

    async def close(self) -> None:
        for each in self._running.values():
            if each.subscription is not None:
                each.subscription.close()
        self._running.clear()
        if self.place is not None:
            await self.place.close()

    def _serve(self, place: ModelPlace, served: Served) -> None:
        """In place of what served: a message is taken by one of the two."""
        before = self._running.get(served.model.name)
        running = self._running[served.model.name] = _Running(served)
        running.subscription = self._broker.listen(served.model.asked, partial(self._heard, place, running))
        if before is not None and before.subscription is not None:
            before.subscription.close()

    def _file(self, served: Served) -> ModelFile:
        signature = self._folder / served.signature if served.signature else None
        model = served.model
        path = self._folder / served.file
        return ModelFile(path, served.sha256, model.name, served.version, model.registry, signature)

    def _heard(
        self,
        place: ModelPlace,
        running: _Running,
        topic: str,
        payload: bytes,
        _content_type: str | None,
        component: str,
    ) -> Awaitable[None] | None:
        if component == NAME:
            return None
        running.asked += 1  # from now on, not from when the broker comes to it
        return self._asked(place, running, topic, payload)

    async def _asked(self, place: ModelPlace, running: _Running, topic: str, payload: bytes) -> None:
        try:
            await self._answer(place, running, topic, payload)
        finally:
            running.answered()

    async def _answer(self, place: ModelPlace, running: _Running, topic: str, payload: bytes) -> None:
        model = running.served.model
        try:
            to = model.topic_of(topic)
        except BadTopic as problem:
            log.warning("the model %s does not answer what came on %s: %s", model.name, topic, problem)
            return
        try:
            answer = await place.infer(self._file(running.served), payload)
            if len(answer) > MOST_ANSWER:
                raise NotServed(f"the answer has {len(answer)} bytes, and a message at most {MOST_ANSWER}")
            if running.trial is not None:
                running.trial.offer(payload, answer)
        except NotServed as problem:
            answer = json.dumps({"error": str(problem)}).encode()
        await self._broker.say(to, answer, "application/json", NAME)
