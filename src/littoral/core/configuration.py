"""A component's configuration: a tree of JSON objects whose leaves know when they were set. Pure.

Greengrass merges: an object into an object, anything else replaces. A deployment's values and a component's own
(UpdateConfiguration) meet in one tree; the younger one holds. Key paths are lists of names from the root; names keep
their case. Source: "IPC: Interact with component configuration" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
Changed = Callable[[Path], None]


class Outdated(Exception):
    """What is there was set later than what is to be merged."""


class NoSuchKey(KeyError):
    """Nothing at that path."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one deployment does to a component's configuration, and when it came."""

    reset: tuple[Path, ...] = ()
    merge: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0


class Configuration:
    """``value`` is the whole as plain JSON. ``watch`` is told the path of every leaf that changes."""

    def __init__(self, value: Mapping[str, Any] | None = None, at: float = 0.0) -> None:
        """``at`` is when it was set, in seconds since the epoch."""
        self._value: dict[str, Any] = {}
        self._set: dict[Path, float] = {}
        self.applied = 0.0  # when the last deployment's update came that is in it
        self._watchers: list[tuple[Path, Changed]] = []
        self._merge(dict(value or {}), (), at)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Configuration:
        """What ``document`` made."""
        made = cls(document["value"])
        made._set = {tuple(path): at for path, at in document["set"]}
        made.applied = document.get("applied", 0.0)
        return made

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept."""
        return {
            "value": json.loads(json.dumps(self._value)),  # it goes on changing
            "set": [[list(path), at] for path, at in self._set.items()],
            "applied": self.applied,
        }

    @property
    def value(self) -> Mapping[str, Any]:
        return self._value

    def fill(self, defaults: Mapping[str, Any]) -> None:
        """What a recipe gives where nothing is set; anything that is set later holds."""
        self._merge(_missing(defaults, self._value), (), 0.0)

    def get(self, path: Sequence[str]) -> Any:
        """Raises NoSuchKey."""
        found: Any = self._value
        for name in path:
            if not isinstance(found, dict) or name not in found:
                raise NoSuchKey("/".join(path))
            found = found[name]
        return found

    def update(self, path: Sequence[str], value: Mapping[str, Any], at: float) -> None:
        """Merge an object at that path, which is made where it is not there; all of it or nothing. Raises Outdated."""
        start = tuple(path)
        for changed in _leaves(value, start):
            if self._later(changed, at):
                raise Outdated(f"{'/'.join(changed)} was set later")
        nested: dict[str, Any] = dict(value)
        for name in reversed(start):
            nested = {name: nested}
        self._tell(self._merge(nested, (), at))

    def merge(self, value: Mapping[str, Any], at: float) -> None:
        """What a deployment sets; where something is set later, that holds."""
        self._tell(self._merge(self._younger(value, (), at), (), at))

    def reset(self, paths: Sequence[Path], defaults: Mapping[str, Any], at: float) -> None:
        """Back to the recipe's ``defaults`` at and below each path, or gone where these have nothing; what was set
        later than ``at`` stays."""
        changed: list[Path] = []
        for path in paths:
            for leaf in [known for known, when in self._set.items() if known[: len(path)] == path and when <= at]:
                self._drop(leaf)
                changed.append(leaf)
            self._prune(path)
        self.fill(defaults)
        self._tell(changed)

    def apply(self, update: Update, defaults: Mapping[str, Any]) -> None:
        """A deployment's: once, and what it resets before what it merges."""
        if update.at > self.applied:
            self.reset(update.reset, defaults, update.at)
            self.merge(update.merge, update.at)
            self.applied = update.at

    def replace(self, document: Mapping[str, Any]) -> None:
        """As ``document`` had it: what came since is undone."""
        before, after = self, Configuration.of_document(document)
        leaves = {*_leaves(before._value, ()), *_leaves(after._value, ())}
        changed = [leaf for leaf in leaves if before._at(leaf) != after._at(leaf)]
        self._value, self._set, self.applied = after._value, after._set, after.applied
        self._tell(changed)

    def _at(self, path: Path) -> Any:
        try:
            return self.get(path)
        except NoSuchKey:
            return NoSuchKey

    def _drop(self, leaf: Path) -> None:
        del self._set[leaf]
        holder = self.get(leaf[:-1])
        del holder[leaf[-1]]

    def _prune(self, path: Path) -> None:
        """Objects at and below that path that hold nothing any more."""
        try:
            found = self.get(path)
        except NoSuchKey:
            return
        if isinstance(found, dict):
            for name in list(found):
                self._prune((*path, name))
            if not found and path:
                del self.get(path[:-1])[path[-1]]

    def watch(self, path: Sequence[str], listener: Changed) -> Callable[[], None]:
        """Hear of what changes at or below that path; what is returned ends it."""
        entry = (tuple(path), listener)
        self._watchers.append(entry)
        return lambda: self._watchers.remove(entry) if entry in self._watchers else None

    def _merge(self, value: Mapping[str, Any], path: Path, at: float) -> list[Path]:
        """The leaves that are other than before."""
        holder: dict[str, Any] = self._value
        for name in path:
            holder = holder[name]
        changed: list[Path] = []
        for name, new in value.items():
            place = (*path, name)
            if isinstance(new, Mapping):
                if not isinstance(holder.get(name), dict):
                    holder[name] = {}
                    self._set.pop(place, None)
                changed += self._merge(new, place, at)
            else:
                if name not in holder or holder[name] != new or type(holder[name]) is not type(new):
                    self._forget(place)
                    holder[name] = new
                    changed.append(place)
                self._set[place] = at
        return changed

    def _younger(self, value: Mapping[str, Any], path: Path, at: float) -> dict[str, Any]:
        """Without the leaves of which one is there that was set later."""
        found: dict[str, Any] = {}
        for name, each in value.items():
            place = (*path, name)
            if isinstance(each, Mapping):
                found[name] = self._younger(each, place, at)
            elif not self._later(place, at):
                found[name] = each
        return found

    def _later(self, path: Path, at: float) -> bool:
        """Whether a leaf there, below it or in its way was set after that."""
        return any(when > at for known, when in self._set.items() if known[: len(path)] == path[: len(known)])

    def _tell(self, leaves: Sequence[Path]) -> None:
        for changed in leaves:
            for watched, listener in list(self._watchers):
                if changed[: len(watched)] == watched or watched[: len(changed)] == changed:
                    listener(changed)

    def _forget(self, path: Path) -> None:
        """A leaf takes the place of an object: what was known of that one's leaves is gone."""
        for each in [known for known in self._set if known[: len(path)] == path]:
            del self._set[each]


def within(value: Any, path: Path) -> Any:
    """What a JSON pointer's path leads to, in lists by number. Raises NoSuchKey."""
    for name in path:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise NoSuchKey("/".join(path))
    return value


def pointed(pointer: str) -> Path:
    """The path that a JSON pointer (RFC 6901) names; "" is the whole."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _leaves(value: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _leaves(each, (*path, name))
        else:
            yield (*path, name)


def _missing(defaults: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in defaults.items():
        held = value.get(name)
        if name not in value:
            found[name] = each
        elif isinstance(each, Mapping) and isinstance(held, Mapping):
            found[name] = _missing(each, held)
    return found
