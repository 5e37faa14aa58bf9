"""What was invalidated, as rules that entries are held against when they are asked for: a wildcard over a million
entries is one rule and costs what one path does.

Each rule has a *generation*; it reaches what was asked of the origin before it. An entry that no rule up to a
generation reaches is not looked at again before the next. The number of rules is bounded: when the oldest half is let
go, all that is older than they are counts as invalidated.

Owns: the rules and their order. Knows no entries and no disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_RULES = 100_000
MAX_CHANGES = 10_000
Rule = tuple[int, str, str, str]  # generation, distribution, "path", "prefix" or "tag", and which


@dataclass(slots=True)
class _Rules:
    """Of one distribution: the newest generation for each path, prefix and tag."""

    paths: dict[str, int] = field(default_factory=dict)
    prefixes: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)  # of the prefixes, each once


class Invalidations:
    def __init__(self, rules: Iterable[Rule] = (), generation: int = 0, floor: int = 0) -> None:
        """``rules`` are those of before a restart, oldest first."""
        self.generation = generation  # grows with each invalidation and each change
        self.ruled = generation  # that of the newest rule
        self.floor = floor  # what was asked for before this is reached
        self.rules: list[Rule] = []
        self._of: dict[str, _Rules] = {}
        self._changes: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._forgotten = 0  # the newest change that is not remembered
        for rule in rules:
            self._enter(rule)

    def add(self, distribution: str, patterns: Iterable[str], tags: Iterable[str] = ()) -> list[Rule]:
        """Paths, case-sensitive; ``*`` may stand at the end; a query string is part of the path, or is taken along by
        a wildcard ("Invalidating files"). Returns the new rules."""
        self.generation += 1
        made: list[Rule] = []
        for pattern in patterns:
            kind, what = ("prefix", pattern[:-1]) if pattern.endswith("*") else ("path", pattern)
            made.append((self.generation, distribution, kind, what))
        made += [(self.generation, distribution, "tag", tag) for tag in tags]
        for rule in made:
            self._enter(rule)
        if len(self.rules) > MAX_RULES:
            self._let_go()
        return made

    def _enter(self, rule: Rule) -> None:
        generation, distribution, kind, what = rule
        self.generation = max(self.generation, generation)
        self.ruled = self.generation
        self.rules.append(rule)
        mine = self._of.setdefault(distribution, _Rules())
        {"path": mine.paths, "prefix": mine.prefixes, "tag": mine.tags}[kind][what] = generation
        if kind == "prefix" and len(what) not in mine.lengths:
            mine.lengths.append(len(what))

    def _let_go(self) -> None:
        half = len(self.rules) // 2
        self.floor = self.rules[half - 1][0]
        rest = [rule for rule in self.rules[half:] if rule[0] > self.floor]
        self.rules, self._of = [], {}
        for rule in rest:
            self._enter(rule)
        self.ruled = self.generation

    def change(self, distribution: str, path: str) -> None:
        """Something else than GET or HEAD succeeded there (RFC 9111 s. 4.4). Who calls drops what is stored: this is
        for what is on its way, and is forgotten after a while."""
        self.generation += 1
        self._changes[distribution, path] = self.generation
        self._changes.move_to_end((distribution, path))
        if len(self._changes) > MAX_CHANGES:
            self._forgotten = self._changes.popitem(last=False)[1]

    def reach(self, distribution: str, path: str, tags: Iterable[str], since: int) -> bool:
        """Whether what was asked for at generation ``since`` has been invalidated."""
        if since < self.floor or self._changes.get((distribution, path), 0) > since:
            return True
        mine = self._of.get(distribution)
        if mine is None:
            return False
        if mine.paths.get(path, 0) > since or any(mine.tags.get(tag, 0) > since for tag in tags):
            return True
        return any(mine.prefixes.get(path[:length], 0) > since for length in mine.lengths if length <= len(path))

    def overtaken(self, distribution: str, path: str, tags: Iterable[str], since: int) -> bool:
        """The same for what is on its way from the origin and not stored yet."""
        return since < self._forgotten or self.reach(distribution, path, tags, since)
