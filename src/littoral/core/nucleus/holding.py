"""A component whose hard dependency fails, stops or restarts is stopped until that one is ready again, and restarts.

Source: "AWS IoT Greengrass component recipe reference", DependencyType.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from littoral.core.nucleus.component import Component

log = logging.getLogger(__name__)


class Holding:
    """``heard`` of each change of state of one of ``components``; ``changed`` is set by then."""

    def __init__(self, components: Mapping[str, Component], changed: asyncio.Event) -> None:
        self._components = components
        self._changed = changed
        self._held: dict[str, asyncio.Task[None]] = {}

    def needed(self, component: Component) -> list[Component]:
        return [self._components[other] for other in component.made.hard if other in self._components]

    def heard(self, name: str) -> None:
        component = self._components.get(name)
        if component is None or not component.fallen:
            return
        for other, each in self._components.items():
            if name in each.made.hard and other not in self._held and each.state in ("STARTING", "RUNNING"):
                self._held[other] = asyncio.ensure_future(self._hold(other, each))

    async def resumed(self, seconds: float) -> None:
        """Nothing is held any more but by what is broken; or it took too long, which their states show."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(not self._hopeless(name) for name in self._held):
                    self._changed.clear()
                    await self._changed.wait()

    async def let_go(self, names: Sequence[str] | None = None) -> None:
        """Of these, or of all: they are stopped, or about to be."""
        tasks = [self._held.pop(name) for name in (list(self._held) if names is None else names) if name in self._held]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, name: str, component: Component) -> None:
        log.info("%s waits for what it depends on", name)
        await component.stop()
        while not all(each.ready for each in self.needed(component)):
            self._changed.clear()
            await self._changed.wait()
        del self._held[name]
        await component.restart()

    def _hopeless(self, name: str) -> bool:
        return any(each.state == "BROKEN" for each in self.needed(self._components[name]))
