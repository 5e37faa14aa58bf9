"""A table of facts held in memory and written through to Records.

Theory: the registry is asked on every connect, publish and subscribe, and answers from memory; a change is durable
before memory shows it. One writer (this process), so that memory and disk cannot disagree for longer than a write.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from littoral.store.documents import Documents

Fact = TypeVar("Fact")
Json = dict[str, Any]


class Table(Generic[Fact]):
    """Facts by key, in key order. ``encode`` and ``decode`` turn a fact into a JSON object and back."""

    def __init__(self, documents: Documents, encode: Callable[[Fact], Json], decode: Callable[[Json], Fact]) -> None:
        self._documents = documents
        self._encode = encode
        self._decode = decode
        self._facts: dict[str, Fact] = {}
        self._listeners: list[Callable[[Fact | None, Fact | None], None]] = []
        self._keys: list[str] = []

    async def load(self) -> None:
        """Read everything; call once, before use."""
        after = ""
        while page := await self._documents.scan(after=after):
            for key, document in page:
                self._facts[key] = self._decode(document)
            after = page[-1][0]
        self._keys = sorted(self._facts)

    def on_change(self, listener: Callable[[Fact | None, Fact | None], None]) -> None:
        """``listener(before, after)`` after each durable change; None is no fact."""
        self._listeners.append(listener)

    def _changed(self, before: Fact | None, after: Fact | None) -> None:
        for listener in self._listeners:
            listener(before, after)

    def get(self, key: str) -> Fact | None:
        return self._facts.get(key)

    def __contains__(self, key: object) -> bool:
        return key in self._facts

    def __len__(self) -> int:
        return len(self._facts)

    def values(self) -> Iterator[Fact]:
        return iter([self._facts[key] for key in self._keys])

    def items(self, after: str = "") -> Iterator[tuple[str, Fact]]:
        """In key order, greater than ``after``."""
        for key in self._keys[bisect_right(self._keys, after) :] if after else list(self._keys):
            yield key, self._facts[key]

    async def put(self, key: str, fact: Fact) -> None:
        """Durable on return, visible from then on."""
        await self._documents.put(key, self._encode(fact))
        before = self._facts.get(key)
        if before is None:
            insort(self._keys, key)
        self._facts[key] = fact
        self._changed(before, fact)

    async def delete(self, key: str) -> None:
        await self._documents.delete(key)
        before = self._facts.pop(key, None)
        if before is not None:
            self._keys.remove(key)
            self._changed(before, None)
