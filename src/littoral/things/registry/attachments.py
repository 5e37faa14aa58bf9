"""Who is attached to whom: a durable set of pairs, found from either side."""

from __future__ import annotations

from collections.abc import Callable

from littoral.store.documents import Documents
from littoral.things.table import Table


class Pairs:
    """Pairs of a holder (a certificate's id, a thing, a group) and the name of what it holds (a thing, a policy, a
    group). Neither side holds a slash."""

    def __init__(self, documents: Documents) -> None:
        self._table: Table[tuple[str, str]] = Table(
            documents,
            lambda pair: {"certificate": pair[0], "name": pair[1]},  # as the first places wrote them
            lambda row: (row["certificate"], row["name"]),
        )
        self._listeners: list[Callable[[str, str, bool], None]] = []
        self._names: dict[str, set[str]] = {}
        self._holders: dict[str, set[str]] = {}

    async def load(self) -> None:
        await self._table.load()
        for holder, name in self._table.values():
            self._index(holder, name)

    def _index(self, holder: str, name: str) -> None:
        self._names.setdefault(holder, set()).add(name)
        self._holders.setdefault(name, set()).add(holder)

    def on_change(self, listener: Callable[[str, str, bool], None]) -> None:
        """``listener(holder, name, added)`` after each durable change."""
        self._listeners.append(listener)

    def _changed(self, holder: str, name: str, added: bool) -> None:
        for listener in self._listeners:
            listener(holder, name, added)

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair[1] in self._names.get(pair[0], ())

    def of_holder(self, holder: str) -> list[str]:
        return sorted(self._names.get(holder, ()))

    def of_name(self, name: str) -> list[str]:
        return sorted(self._holders.get(name, ()))

    def all(self) -> list[tuple[str, str]]:
        return list(self._table.values())

    async def add(self, holder: str, name: str) -> None:
        await self._table.put(f"{holder}/{name}", (holder, name))
        self._index(holder, name)
        self._changed(holder, name, True)

    async def remove(self, holder: str, name: str) -> None:
        await self._table.delete(f"{holder}/{name}")
        self._names.get(holder, set()).discard(name)
        self._holders.get(name, set()).discard(holder)
        self._changed(holder, name, False)
