"""Dynamic thing groups: whoever matches a group's query is in it, a moment after it does.

Members are written like those of static groups, so that policies, jobs and listings see no difference. A look takes
only the things that were told of since the last one, all of them after a group or the configuration changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from littoral.protocols.fleetquery import Query, QueryError, parse
from littoral.store.contract import StoreError
from littoral.things.indexing.index import SLICE, THINGS, Index
from littoral.things.registry import Registry, Thing

log = logging.getLogger(__name__)

REST = 0.05  # seconds in which changes gather
AGAIN = 1.0  # seconds after the disk refused


class Membership:
    def __init__(self, registry: Registry, index: Index) -> None:
        self._registry = registry
        self._index = index
        self._queries: dict[str, Query] = {}
        self._dirty: set[str] = set()
        self._all = True
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        registry.on_fleet_change(self.touch)
        index.on_change = self.touch

    def start(self) -> None:
        self._awake.set()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="dynamic groups")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def touch(self, thing: str = "") -> None:
        """Look at this thing again; without a name, at all."""
        if thing:
            self._dirty.add(thing)
        else:
            self._all = True
        self._awake.set()

    async def _run(self) -> None:
        while True:
            await self._awake.wait()
            await asyncio.sleep(REST)
            self._awake.clear()
            try:
                await self.look()
            except StoreError as problem:
                log.warning("dynamic groups wait for the disk: %s", problem)
                await asyncio.sleep(AGAIN)
                self.touch()
            except Exception:
                log.exception("a look at the dynamic groups failed")

    async def look(self) -> None:
        """Bring every dynamic group up to date with what was told."""
        dirty, self._dirty = self._dirty, set()
        everything, self._all = self._all, False
        if not self._index.ready(THINGS):
            return
        groups = {group.name: group.query for group in self._registry.groups.values() if group.query is not None}
        if not groups:
            return
        queries = {name: self._query(text) for name, text in groups.items()}
        names: Iterable[str] = [thing.name for thing in self._registry.things.values()] if everything else dirty
        moved: list[str] = []
        for turn, name in enumerate(names, 1):
            if turn % SLICE == 0:
                await asyncio.sleep(0)
            thing = self._registry.things.get(name)
            if thing is not None and await self._place(thing, queries):
                moved.append(name)
        if not moved:
            return
        self._registry.changed({one for name in moved for one in self._registry.principals.of_name(name)})
        for name in moved:
            self._registry.fleet_changed(name)

    def _query(self, text: str) -> Query:
        found = self._queries.get(text)
        if found is None:
            try:
                found = parse(text)
            except QueryError:  # kept by another version of this program
                log.exception("a dynamic group's query cannot be read here: %r", text)
                found = Query(text, lambda document: False)
            self._queries[text] = found
        return found

    async def _place(self, thing: Thing, queries: dict[str, Query]) -> bool:
        """Whether anything changed."""
        document = self._index.document(thing, static=True)
        wanted = {name for name, query in queries.items() if query.match(document)}
        members = self._registry.members
        had = {name for name in members.of_holder(thing.name) if name in queries}
        if wanted == had:
            return False
        async with self._registry.changing:
            for name in sorted(had - wanted):
                await members.remove(thing.name, name)
            for name in sorted(wanted - had):
                if name in self._registry.groups and thing.name in self._registry.things:
                    await members.add(thing.name, name)
        return True
