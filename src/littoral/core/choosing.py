"""Where the recipe of each component of a deployment comes from: what came with it, what runs here, the place above.

A deployment made on the device takes what is on the device as far as that suits, and asks the place above for the
rest; without a link it fails rather than waits. A deployment from above takes everything from there, but what local
deployments put here and need, which only they change.
"""

from __future__ import annotations

from collections.abc import Mapping

from littoral.core.deploymenterrors import VERSION
from littoral.core.local.brought import Brought
from littoral.core.local.request import LOCAL
from littoral.core.planning import Active
from littoral.core.recipe import BadComponent
from littoral.core.resolving import Chosen, Requirements, said, suits
from littoral.core.source import Source, Unreachable


class Choosing:
    """``brought`` is None for a deployment from above."""

    def __init__(self, active: Active, brought: Brought | None, source: Source) -> None:
        self._active = active
        self._brought = brought
        self._source = source
        self._local: set[str] = {LOCAL}  # who speaks for local deployments: their target, what was taken from here

    async def choose(self, asked: Mapping[str, Requirements]) -> dict[str, Chosen]:
        """Raises BadComponent, Declined, Unreachable."""
        here = {name: found for name, each in asked.items() if (found := self._here(name, each)) is not None}
        self._local |= {name for name, each in here.items() if each.local}
        missing = {name: each for name, each in asked.items() if name not in here}
        return here | (await self._above(missing) if missing else {})

    def _here(self, name: str, asked: Requirements) -> Chosen | None:
        if self._brought is not None:
            brought = self._brought.chosen(name, asked)
            return brought if brought is not None else self._running(name, asked)
        running = self._running(name, asked)
        return running if running is not None and running.local and self._local & set(asked) else None

    def _running(self, name: str, asked: Requirements) -> Chosen | None:
        known, recipe = self._active.components.get(name), self._active.recipes.get(name)
        if known is None or recipe is None or not suits(known["version"], asked):
            return None
        return Chosen(known["version"], recipe, known.get("arn", ""), known.get("local", False))

    async def _above(self, asked: Mapping[str, Requirements]) -> dict[str, Chosen]:
        try:
            return await self._source.recipes(asked, self._active.platform)
        except Unreachable as problem:
            if self._brought is None:
                raise
            wanted = "; ".join(f"{name}: {said(each)}" for name, each in asked.items())
            raise BadComponent(
                f"not on this device, and the place above is not reached: {wanted}", VERSION, "NETWORK_ERROR"
            ) from problem
