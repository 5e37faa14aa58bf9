"""The subscription tree: which of many filters match one topic.

Filters without a wildcard are looked up in one dictionary. The others are a trie by level, walked along the topic
with ``+`` and ``#`` as side branches. Holds any value by (filter, key); knows nothing of sessions.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from littoral.protocols.mqtt.topics import has_wildcard

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Node(Generic[K, V]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] = {}
        self.values: dict[K, V] = {}


class Tree(Generic[K, V]):
    def __init__(self) -> None:
        self._exact: dict[str, dict[K, V]] = {}
        self._root: _Node[K, V] = _Node()
        self.size = 0

    def add(self, filter: str, key: K, value: V) -> bool:
        """Put or replace; True where there was nothing under that filter and key."""
        values = self._values(filter)
        new = key not in values
        values[key] = value
        self.size += new
        return new

    def get(self, filter: str, key: K) -> V | None:
        if not has_wildcard(filter):
            return self._exact.get(filter, {}).get(key)
        path = self._path(filter)
        return path[-1][1].values.get(key) if path is not None else None

    def remove(self, filter: str, key: K) -> bool:
        """False where there was none."""
        if not has_wildcard(filter):
            values = self._exact.get(filter)
            if values is None or values.pop(key, None) is None:
                return False
            if not values:
                del self._exact[filter]
        else:
            path = self._path(filter)
            if path is None or path[-1][1].values.pop(key, None) is None:
                return False
            self._prune(path)
        self.size -= 1
        return True

    def match(self, topic: str) -> list[tuple[K, V]]:
        """Every value whose filter matches; one key as often as it has matching filters."""
        found: list[tuple[K, V]] = []
        exact = self._exact.get(topic)
        if exact:
            found.extend(exact.items())
        if self._root.children:
            self._walk(self._root, topic.split("/"), 0, found, not topic.startswith("$"))
        return found

    def _walk(
        self, node: _Node[K, V], levels: list[str], depth: int, found: list[tuple[K, V]], wildcards: bool
    ) -> None:
        children = node.children
        if wildcards and (rest := children.get("#")) is not None:
            found.extend(rest.values.items())
        if depth == len(levels):
            found.extend(node.values.items())
            return
        if (same := children.get(levels[depth])) is not None:
            self._walk(same, levels, depth + 1, found, True)
        if wildcards and (any_level := children.get("+")) is not None:
            self._walk(any_level, levels, depth + 1, found, True)

    def _values(self, filter: str) -> dict[K, V]:
        if not has_wildcard(filter):
            return self._exact.setdefault(filter, {})
        node = self._root
        for level in filter.split("/"):
            node = node.children.setdefault(level, _Node())
        return node.values

    def _path(self, filter: str) -> list[tuple[str, _Node[K, V]]] | None:
        node, path = self._root, [("", self._root)]
        for level in filter.split("/"):
            found = node.children.get(level)
            if found is None:
                return None
            node = found
            path.append((level, node))
        return path

    def _prune(self, path: list[tuple[str, _Node[K, V]]]) -> None:
        for (_, parent), (level, node) in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.values or node.children:
                return
            del parent.children[level]
