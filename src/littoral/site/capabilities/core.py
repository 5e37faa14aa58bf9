"""Handed to a core: its functions and its broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.core.ports import Heard, Word
from littoral.core.recipe import LambdaComponent
from littoral.functions import Functions, Placement
from littoral.functions.logs.group import Query
from littoral.functions.logs.segment import Key
from littoral.functions.logs.store import NoGroup
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.things.broker import Broker, LocalSubscriber
from littoral.things.message import Publication


class CoreFunctions:
    """For the core: a pinned component's function runs as one long-lived instance that gets its events in order; one on
    demand has as many instances as it may have, each of which goes when it has been idle.

    ``begins`` is called once, as the first of them is to run."""

    def __init__(self, functions: Functions, begins: Callable[[], object] | None = None) -> None:
        self._functions = functions
        self._begins = begins

    async def install(self, component: LambdaComponent, archive: bytes, *, layers: Sequence[bytes]) -> None:
        name, version, placement = component.function, component.function_version, self._placement(component)
        await self._functions.install(name, version, component.config, archive, layers=layers, placement=placement)

    async def reconfigure(self, component: LambdaComponent) -> bool:
        name, version, placement = component.function, component.function_version, self._placement(component)
        return await self._functions.reconfigure(name, version, component.config, placement=placement)

    def _placement(self, component: LambdaComponent) -> Placement:
        return Placement(
            1 if component.pinned else component.instances,
            component.pinned,
            queue=1000,
            idle=component.idle,
            component=component.name,
            binary=component.binary,
            arguments=component.arguments,
        )

    def installed(self, name: str, version: str) -> str | None:
        return self._functions.installed(name, version)

    def surround(self, surroundings: Callable[[str, str], Mapping[str, str] | None]) -> None:
        self._functions.surround(surroundings)

    def hold(self, components: Iterable[LambdaComponent], tell: Callable[[], None]) -> None:
        held = [(each.function, each.function_version) for each in components]
        if held:
            self._begin()
        self._functions.hold(held, tell)

    async def held(self) -> None:
        await self._functions.held()

    def failure(self, component: LambdaComponent) -> str:
        return self._functions.failure(component.function, component.function_version)

    async def remove(self, name: str, version: str) -> None:
        await self._functions.uninstall(name, version)

    async def words(self, component: LambdaComponent, after: str, limit: int) -> list[Word]:
        query = Query(after=Key.of(after) if after else None, limit=limit)
        try:
            page = await self._functions.logs.select(_words_of(component), query)
        except NoGroup:
            return []
        return [Word(each.key.text(), each.timestamp, each.message) for each in page.events]

    async def last_words(self, component: LambdaComponent, limit: int) -> list[str]:
        return [each.message for each in await self._functions.logs.read(_words_of(component), limit=limit)]

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]:
        self._begin()
        return self._functions.invoke(invocation)

    def _begin(self) -> None:
        if self._begins is not None:
            begins, self._begins = self._begins, None
            begins()


def _words_of(component: LambdaComponent) -> str:
    return f"/aws/lambda/{component.function}"


COMPONENT = "component "  # before its name, as a client id: no thing is called so


class CoreBroker:
    """For the core: its local broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def tap(self, filter: str, callback: Any) -> LocalSubscriber:
        return self._broker.tap(
            filter, lambda publication: callback(publication.topic, publication.payload, publication.qos)
        )

    def relay(self, filter: str, callback: Callable[[Publication], Awaitable[None] | None]) -> LocalSubscriber:
        return self._broker.tap(filter, callback)

    async def publish(self, topic: str, payload: bytes, qos: int, properties: PublishProperties | None = None) -> None:
        await self._broker.publish(Publication(topic, payload, qos, properties=properties))

    def listen(self, filter: str, heard: Heard) -> LocalSubscriber:
        """For components: with the content type, and which component said it."""

        def taken(publication: Publication) -> Awaitable[None] | None:
            told = publication.properties
            sender = publication.client_id
            component = sender.removeprefix(COMPONENT) if sender.startswith(COMPONENT) else ""
            content_type = told.content_type if told is not None else None
            return heard(publication.topic, publication.payload, content_type, component)

        return self._broker.tap(filter, taken)

    async def say(self, topic: str, payload: bytes, content_type: str | None, component: str) -> None:
        properties = PublishProperties(content_type=content_type) if content_type is not None else None
        said = Publication(topic, payload, 1, client_id=COMPONENT + component, properties=properties)
        await self._broker.publish(said)
