"""littoral.ModelServer at work: a message on a model's topic in is a request, its answer goes to the topic out.

A publisher with QoS 1 is acknowledged after the answer was published, so what a crash cuts off comes again. The server
does not hear what it says itself: no answer goes round.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from littoral.core.modelserver.ports import ModelFile, ModelPlace, NotServed
from littoral.core.modelserver.settings import NAME, Served, served_of
from littoral.core.ports import Broker, Subscription
from littoral.core.recipe import BadComponent
from littoral.protocols.mqtt.topics import BadTopic

log = logging.getLogger(__name__)

MOST_ANSWER: Final = 1024 * 1024  # bytes of a message


@dataclass(frozen=True, slots=True)
class _Running:
    served: Served
    subscription: Subscription


class ModelServer:
    """``folder`` is that of all artifacts. A model whose new version cannot be loaded goes on as it was."""

    def __init__(self, folder: Path, broker: Broker, place: ModelPlace) -> None:
        self._folder = folder
        self._broker = broker
        self._place = place
        self._running: dict[str, _Running] = {}

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        wanted = {each.model.name: each for each in served_of(configuration or {})}
        problems = []
        for name, served in wanted.items():
            if (running := self._running.get(name)) is not None and running.served == served:
                continue
            try:
                await self._place.load(self._file(served))
            except NotServed as problem:
                problems.append(f"the model {name} of {served.model.component} {served.version}: {problem}")
            else:
                self._serve(served)
        for name in self._running.keys() - wanted.keys():
            self._running.pop(name).subscription.close()
        await self._place.keep({each.served.sha256 for each in self._running.values()})
        if problems:
            raise BadComponent("; ".join(problems))

    async def close(self) -> None:
        for each in self._running.values():
            each.subscription.close()
        self._running.clear()
        await self._place.close()

    def _serve(self, served: Served) -> None:
        """In place of what served: no message falls between the two."""
        before = self._running.get(served.model.name)
        subscription = self._broker.listen(served.model.asked, partial(self._heard, served))
        self._running[served.model.name] = _Running(served, subscription)
        if before is not None:
            before.subscription.close()

    def _file(self, served: Served) -> ModelFile:
        return ModelFile(self._folder / served.file, served.sha256, served.model.name, served.version)

    def _heard(
        self, served: Served, topic: str, payload: bytes, _content_type: str | None, component: str
    ) -> Awaitable[None] | None:
        return None if component == NAME else self._answer(served, topic, payload)

    async def _answer(self, served: Served, topic: str, payload: bytes) -> None:
        try:
            to = served.model.topic_of(topic)
        except BadTopic as problem:
            log.warning("the model %s does not answer what came on %s: %s", served.model.name, topic, problem)
            return
        try:
            answer = await self._place.infer(self._file(served), payload)
            if len(answer) > MOST_ANSWER:
                raise NotServed(f"the answer has {len(answer)} bytes, and a message at most {MOST_ANSWER}")
        except NotServed as problem:
            answer = json.dumps({"error": str(problem)}).encode()
        await self._broker.say(to, answer, "application/json", NAME)
