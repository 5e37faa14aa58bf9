"""What a deployment connects: topics to functions, and the bridge between the local broker and the place above."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from littoral.core.bridge import TopicMapping
from littoral.core.bridging import Bridges
from littoral.core.events import Feed
from littoral.core.link import Link
from littoral.core.ports import Broker, Functions, Subscription
from littoral.core.recipe import LambdaComponent
from littoral.core.spool import Spool
from littoral.core.waiting import PREFIX, Waiting
from littoral.store.contract import StreamFull, Streams


@dataclass(slots=True)
class _Running:
    feed: Feed
    subscriptions: list[Subscription]


class Routes:
    """``change`` moves from what is connected to what shall be; what stays the same is not touched."""

    def __init__(self, broker: Broker, link: Link, spool: Spool, functions: Functions, streams: Streams) -> None:
        self._broker = broker
        self._link = link
        self._functions = functions
        self._streams = streams
        self._waiting: dict[str, Waiting] = {}
        self._running: dict[str, _Running] = {}
        self._bridges = Bridges(broker, link, spool)

    @property
    def feeds(self) -> list[Feed]:
        return [running.feed for running in self._running.values()]

    async def change(
        self, components: tuple[LambdaComponent, ...], mappings: tuple[TopicMapping, ...], *, keep: Collection[str]
    ) -> None:
        """``keep`` names the components whose waiting events stay, those that cannot run just now too; what waits
        for any other is dropped. Raises StoreError: then it is to be tried again."""
        wanted = {component.name: component for component in components}
        for name in [each for each in self._running if each not in wanted]:
            await self._stop(name)
        for component in components:
            running = self._running.get(component.name)
            if running is None or running.feed.closed or running.feed.component != component:
                await self._run(component)
        self._bridges.change(mappings)
        await self._drop_all_but(keep)

    async def hold_back(self, names: Collection[str]) -> None:
        """Events of these wait from now on, until the next ``change``; those under way end first."""
        for name in names:
            if (running := self._running.get(name)) is not None:
                await running.feed.close()

    def is_full(self, component: str) -> bool:
        """Whether a message for this component would not be taken now."""
        return component not in self._running or self._waiting[component].full

    async def offer(self, component: str, topic: str, payload: bytes, context: str = "") -> None:
        """A message for a component's function from within the core, durable when this returns; ``context`` is the
        client context that the function is to have (JSON). Raises StreamFull where there is no room, StoreError."""
        if component not in self._running:
            raise StreamFull(f"{component} does not run")
        await self._waiting[component].offer(topic, payload, context)

    async def close(self) -> None:
        """What waits stays for the next start."""
        self._bridges.change(())
        for name in list(self._running):
            await self._stop(name)
        for waiting in self._waiting.values():
            await waiting.close()
        self._waiting.clear()

    async def _run(self, component: LambdaComponent) -> None:
        """In place of an older version, if one runs: no message falls between the two."""
        name = component.name
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = await Waiting.open(self._streams, component)
        else:
            await waiting.resize(component)
        feed = Feed(component, self._functions, waiting)
        subscriptions = [
            self._broker.tap(source.topic, waiting.put)
            if source.type == "PUB_SUB"
            else self._link.subscribe(source.topic, waiting.put)
            for source in component.sources
        ]
        await self._stop(name)
        self._running[name] = _Running(feed, subscriptions)
        feed.start()

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is not None:
            for subscription in running.subscriptions:
                subscription.close()
            await running.feed.close()

    async def _drop_all_but(self, keep: Collection[str]) -> None:
        """Streams of components that are gone, also since before the start."""
        for name in [each for each in self._waiting if each not in keep]:
            await self._waiting.pop(name).close(forget=True)
        for stream in await self._streams.names(PREFIX):
            if stream.removeprefix(PREFIX) not in keep:
                await self._streams.delete(stream)
