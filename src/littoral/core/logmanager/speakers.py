"""Components that are functions: what they say is in the functions' own logs, not in a file of a component."""

from __future__ import annotations

from collections.abc import Sequence

from littoral.core.nucleus.functions import FunctionComponents
from littoral.core.ports import Functions, Word


class Speakers:
    def __init__(self, components: FunctionComponents, functions: Functions) -> None:
        self._components = components
        self._functions = functions

    def known(self, name: str) -> bool:
        return self._components.component(name) is not None

    async def words(self, name: str, after: str, limit: int) -> Sequence[Word]:
        """The oldest first. Raises StoreError."""
        component = self._components.component(name)
        return [] if component is None else await self._functions.words(component, after, limit)
