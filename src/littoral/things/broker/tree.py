"""The subscription tree: which of many filters match one topic.

Filters without a wildcard are looked up in one dictionary. The others are a trie by level, walked along the topic
with ``+`` as a side branch; what a last ``#`` holds is kept by the node above it (``rest``). What a match costs
depends on the topic's levels, not on how many filters there are. Holds any value by (filter, key); knows nothing of
sessions.

Most filters have one subscriber and most nodes nothing below them, so a filter's values are one pair until there are
more, and a node has no dictionary until it needs one: that is half of the memory, and half of the cache misses.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from littoral.protocols.mqtt.topics import has_wildcard

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Values = tuple[K, V] | dict[K, V] | None  # of one filter: none, one, several


class _Node(Generic[K, V]):
    __slots__ = ("children", "rest", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] | None = None
        self.values: Values[K, V] = None
        self.rest: Values[K, V] = None


class Tree(Generic[K, V]):
    def __init__(self) -> None:
        self._exact: dict[str, Values[K, V]] = {}
        self._root: _Node[K, V] = _Node()
        self.size = 0

    def add(self, filter: str, key: K, value: V) -> bool:
        """Put or replace; True where there was nothing under that filter and key."""
        if has_wildcard(filter):
            levels, place = _levels(filter)
            node = self._node(levels)
            values, new = _with(getattr(node, place), key, value)
            setattr(node, place, values)
        else:
            self._exact[filter], new = _with(self._exact.get(filter), key, value)
        self.size += new
        return new

    def get(self, filter: str, key: K) -> V | None:
        if not has_wildcard(filter):
            return _get(self._exact.get(filter), key)
        levels, place = _levels(filter)
        path = self._path(levels)
        return _get(getattr(path[-1][1], place), key) if path is not None else None

    def remove(self, filter: str, key: K) -> bool:
        """False where there was none."""
        if self.get(filter, key) is None:
            return False
        if not has_wildcard(filter):
            left = _without(self._exact[filter], key)
            if left is None:
                del self._exact[filter]
            else:
                self._exact[filter] = left
        else:
            levels, place = _levels(filter)
            path = self._path(levels) or []
            node = path[-1][1]
            setattr(node, place, _without(getattr(node, place), key))
            self._prune(path)
        self.size -= 1
        return True

    def match(self, topic: str) -> list[tuple[K, V]]:
        """Every value whose filter matches; one key as often as it has matching filters."""
        found: list[tuple[K, V]] = []
        if (exact := self._exact.get(topic)) is not None:
            _collect(exact, found)
        if self._root.children or self._root.rest is not None:
            self._walk(self._root, topic.split("/"), 0, found, not topic.startswith("$"))
        return found

    def _walk(
        self, node: _Node[K, V], levels: list[str], depth: int, found: list[tuple[K, V]], wildcards: bool
    ) -> None:
        if node.rest is not None and wildcards:
            _collect(node.rest, found)
        if depth == len(levels):
            _collect(node.values, found)
            return
        if (children := node.children) is None:
            return
        if (same := children.get(levels[depth])) is not None:
            self._walk(same, levels, depth + 1, found, True)
        if wildcards and (any_level := children.get("+")) is not None:
            self._walk(any_level, levels, depth + 1, found, True)

    def _node(self, levels: list[str]) -> _Node[K, V]:
        node = self._root
        for level in levels:
            if node.children is None:
                node.children = {}
            below = node.children.get(level)
            if below is None:
                below = node.children[level] = _Node()
            node = below
        return node

    def _path(self, levels: list[str]) -> list[tuple[str, _Node[K, V]]] | None:
        node, path = self._root, [("", self._root)]
        for level in levels:
            found = node.children.get(level) if node.children is not None else None
            if found is None:
                return None
            node = found
            path.append((level, node))
        return path

    def _prune(self, path: list[tuple[str, _Node[K, V]]]) -> None:
        for (_, parent), (level, node) in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.values is not None or node.rest is not None or node.children:
                return
            if parent.children is not None:
                del parent.children[level]


def _levels(filter: str) -> tuple[list[str], str]:
    """Of the node, and where in it."""
    levels = filter.split("/")
    return (levels[:-1], "rest") if levels[-1] == "#" else (levels, "values")


def _with(values: Values[K, V], key: K, value: V) -> tuple[Values[K, V], bool]:
    """With it, and whether the key is new."""
    if values is None or (isinstance(values, tuple) and values[0] == key):
        return (key, value), values is None
    several = dict((values,)) if isinstance(values, tuple) else values
    new = key not in several
    several[key] = value
    return several, new


def _get(values: Values[K, V], key: K) -> V | None:
    if isinstance(values, tuple):
        return values[1] if values[0] == key else None
    return values.get(key) if values is not None else None


def _without(values: Values[K, V], key: K) -> Values[K, V]:
    """The key is there."""
    if not isinstance(values, dict):
        return None
    del values[key]
    return values if len(values) > 1 else next(iter(values.items()))


def _collect(values: Values[K, V], found: list[tuple[K, V]]) -> None:
    if isinstance(values, tuple):
        found.append(values)
    elif values is not None:
        found.extend(values.items())
