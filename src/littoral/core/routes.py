"""What a deployment connects: topics to functions, and the bridge between the local broker and the place above."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from littoral.core.bridge import TopicMapping
from littoral.core.events import Event, Feed
from littoral.core.link import Link
from littoral.core.ports import Broker, Functions, Subscription
from littoral.core.recipe import LambdaComponent
from littoral.core.spool import Spool


@dataclass(slots=True)
class _Running:
    feed: Feed
    subscriptions: list[Subscription]


class Routes:
    """``change`` moves from what is connected to what shall be; what stays the same is not touched."""

    def __init__(self, broker: Broker, link: Link, spool: Spool, functions: Functions) -> None:
        self._broker = broker
        self._link = link
        self._spool = spool
        self._functions = functions
        self._running: dict[str, _Running] = {}
        self._bridges: dict[TopicMapping, Subscription] = {}

    @property
    def feeds(self) -> list[Feed]:
        return [running.feed for running in self._running.values()]

    async def change(self, components: tuple[LambdaComponent, ...], mappings: tuple[TopicMapping, ...]) -> None:
        wanted = {component.name: component for component in components}
        for mapping in [each for each in self._bridges if each not in mappings]:
            self._bridges.pop(mapping).close()
        left: dict[str, list[Event]] = {}
        for name in [each for each, running in self._running.items() if running.feed.component != wanted.get(each)]:
            left[name] = await self._stop(self._running.pop(name))
        for name, component in wanted.items():
            if name not in self._running:
                self._running[name] = self._start(component, left.get(name, []))
        for mapping in mappings:
            if mapping not in self._bridges:
                self._bridges[mapping] = self._bridge(mapping)

    async def close(self) -> None:
        await self.change((), ())

    def _start(self, component: LambdaComponent, events: list[Event]) -> _Running:
        feed = Feed(component, self._functions)
        for event in events:
            feed.put(*event)
        feed.start()
        subscriptions = [
            self._broker.tap(source.topic, feed.put)
            if source.type == "PUB_SUB"
            else self._link.subscribe(source.topic, feed.put)
            for source in component.sources
        ]
        return _Running(feed, subscriptions)

    async def _stop(self, running: _Running) -> list[Event]:
        for subscription in running.subscriptions:
            subscription.close()
        return await running.feed.close()

    def _bridge(self, mapping: TopicMapping) -> Subscription:
        def up(topic: str, payload: bytes) -> Awaitable[None]:
            return self._spool.put(mapping.prefix + topic, payload)

        def down(topic: str, payload: bytes) -> Awaitable[None]:
            return self._broker.publish(mapping.prefix + topic, payload, 1)

        return self._broker.tap(mapping.filter, up) if mapping.up else self._link.subscribe(mapping.filter, down)
