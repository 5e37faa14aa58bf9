"""A rule set evaluated exactly, rule by rule: what decides once the sieve has found that something may match.

Owns: phases, chains, skipping, scores, captures, macros, exclusions at run time. ``Engine.run`` takes the rules that
are worth a look and returns those that matched, and whether one of them denies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from littoral.edge.waf.crs.operators import MATCHED, TRANSFORMATIONS, Groups, Test, compiled
from littoral.edge.waf.crs.seclang import Condition, Marker, Rule, Target, Unreadable
from littoral.edge.waf.crs.transaction import Transaction
from littoral.edge.waf.transformations import Transformation, chain
from littoral.edge.waf.work import A_LOOK

MACRO = re.compile(r"%\{([^}]+)\}")
SETTING = re.compile(r"%\{(?i:tx)\.[^}]+\}")  # the macro that an expression may hold; %{ may be its own
MOST_VALUES = 2000  # of one condition, so that a request of a million arguments ends


@dataclass(slots=True)
class Outcome:
    matched: list[int] = field(default_factory=list)  # ids, in order
    denied: bool = False
    exhausted: bool = False  # it was not looked at to the end


@dataclass(slots=True)
class Removed:
    """What rules took out at run time (ctl)."""

    ids: set[int] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    targets: list[tuple[str, Target]] = field(default_factory=list)  # tag or id, target


class Link:
    """A condition, compiled."""

    def __init__(self, condition: Condition, files: dict[str, str]) -> None:
        self.condition = condition
        try:
            self.steps: list[Transformation] = [TRANSFORMATIONS[name] for name in condition.transformations]
        except KeyError as problem:
            raise Unreadable(f"the transformation {problem}") from problem
        self.times = len(self.steps) + 1  # that it goes over a value
        self.transform = chain(condition.transformations, TRANSFORMATIONS)
        self.argument = condition.argument
        if condition.operator in {"pmFromFile", "pmf"}:
            try:
                self.argument = "\n".join(["", *(files[name] for name in condition.argument.split())])
            except KeyError as problem:
                raise Unreadable(f"the data file {problem}") from problem
        self.dynamic = (SETTING if condition.operator == "rx" else MACRO).search(self.argument) is not None
        self.test: Test | None = None if self.dynamic else compiled(condition.operator, self.argument)
        self._known: dict[str, Test] = {}
        self.excluded = [target for target in condition.targets if target.excluded]
        self.included = [target for target in condition.targets if not target.excluded]

    def test_of(self, transaction: Transaction) -> Test:
        if self.test is not None:
            return self.test
        argument = expand(self.argument, transaction)
        found = self._known.get(argument)
        if found is None:
            if len(self._known) > 256:
                self._known.clear()
            found = self._known[argument] = compiled(self.condition.operator, argument)
        return found

    def match(self, value: bytes, test: Test) -> Groups | None:
        """Of one value, after its transformations (after each of them, for multiMatch); negated where it says so."""
        if not self.condition.multi_match:
            found = test(self.transform(value))
            if self.condition.negated:
                return MATCHED if found is None else None
            return found
        for step in (None, *self.steps):
            value = value if step is None else step(value)
            found = test(value)
            if (found is None) == self.condition.negated:
                return found if found is not None else MATCHED
        return None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule with its links; ``index`` is its place among all."""

    rule: Rule
    links: tuple[Link, ...]
    index: int


class Engine:
    """``entries`` are the rules and markers of a rule set in their order; ``files`` the texts of its data files."""

    def __init__(self, entries: Sequence[Rule | Marker], files: dict[str, str]) -> None:
        self.rules: list[Compiled] = []
        self.markers: dict[str, int] = {}
        self.left_out: dict[int, str] = {}  # rules that cannot be read, by id: what of them
        for index, entry in enumerate(entries):
            if isinstance(entry, Marker):
                self.markers[entry.name] = index
            else:
                try:
                    links = tuple(Link(condition, files) for condition in entry.conditions)
                except Unreadable as problem:
                    self.left_out[entry.id] = str(problem)
                    continue
                self.rules.append(Compiled(entry, links, index))

    def run(self, transaction: Transaction, rules: Iterable[Compiled], quiet: frozenset[int] = frozenset()) -> Outcome:
        """``quiet``: ids of rules that may match and add nothing (overridden to count)."""
        outcome, removed = Outcome(), Removed()
        chosen = list(rules)
        for phase in (1, 2):
            skip_to = -1
            for each in chosen:
                rule = each.rule
                if rule.phase != phase or each.index < skip_to:
                    continue
                if rule.id in removed.ids or not removed.tags.isdisjoint(rule.tags):
                    continue
                if not self.matches(each, transaction, removed, quiet=rule.id in quiet):
                    continue
                outcome.matched.append(rule.id)
                if rule.denies:
                    outcome.denied = True
                    return outcome
                if rule.skip_after is not None:
                    skip_to = self.markers.get(rule.skip_after, -1)
        return outcome

    def matches(self, each: Compiled, transaction: Transaction, removed: Removed, *, quiet: bool) -> bool:
        """Whether the whole chain matches; what it sets is set, scores only where it is not quiet."""
        for link in each.links:
            found = self.condition(each.rule, link, transaction, removed)
            if not found:
                return False
            transaction.matched = [(name, value) for name, value, _ in found]
            for name, value, groups in found:
                if link.condition.capture:
                    for number, group in enumerate(groups):
                        transaction.tx[str(number)] = group
                for text in link.condition.setvars:
                    if not (quiet and "score" in text):
                        set_variable(text, transaction, name, value)
            for text in link.condition.controls:
                control(text, removed)
        return True

    def condition(
        self, rule: Rule, link: Link, transaction: Transaction, removed: Removed
    ) -> list[tuple[str, bytes, Groups]]:
        """The values that match, with what was captured of each."""
        if not link.condition.targets:
            return [("", b"", MATCHED)]
        found: list[tuple[str, bytes, Groups]] = []
        test, seen = link.test_of(transaction), 0
        for target in link.included:
            for name, value in transaction.values(target):
                if not target.counted and self._excluded(rule, link, target.collection, name, removed):
                    continue
                seen += 1
                if seen > MOST_VALUES:
                    return found
                transaction.spend(link.times * len(value) + A_LOOK)
                groups = link.match(value, test)
                if groups is not None:
                    full = f"{target.collection}:{name}" if name else target.collection
                    found.append((full, link.transform(value), groups))
        return found

    def _excluded(self, rule: Rule, link: Link, collection: str, name: str, removed: Removed) -> bool:
        if any(target.collection == collection and target.takes(name) for target in link.excluded):
            return True
        return any(
            (key in rule.tags or key == str(rule.id)) and target.collection == collection and target.takes(name)
            for key, target in removed.targets
        )


# ------------------------------------------------------------------------------------ variables


def expand(text: str, transaction: Transaction, name: str = "", value: bytes = b"") -> str:
    """Macros, as they stand now."""
    if "%{" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        collection, _, member = found[1].partition(".")
        collection = collection.upper()
        if collection == "TX":
            return transaction.tx.get(member.lower(), b"").decode("latin-1")
        if collection == "MATCHED_VAR":
            return (value or (transaction.matched[-1][1] if transaction.matched else b"")).decode("latin-1")
        if collection == "MATCHED_VAR_NAME":
            return name or (transaction.matched[-1][0] if transaction.matched else "")
        target = Target(collection, member.lower() or None)
        values = transaction.values(target)
        return values[0][1].decode("latin-1") if values else ""

    return MACRO.sub(one, text)


def set_variable(text: str, transaction: Transaction, name: str = "", value: bytes = b"") -> None:
    """``tx.score=+%{tx.critical_anomaly_score}``, ``tx.seen=1``, ``!tx.seen``."""
    key, equals, given = text.partition("=")
    key = expand(key, transaction, name, value).lower()
    if key.startswith("!"):
        transaction.tx.pop(key[1:].removeprefix("tx."), None)
        return
    if not key.startswith("tx."):
        return  # persistent collections: initcol is not kept
    key = key.removeprefix("tx.")
    given = expand(given, transaction, name, value) if equals else "1"
    if given[:1] in {"+", "-"}:
        before = _number(transaction.tx.get(key, b"0"))
        change = _number(given[1:].encode("latin-1"))
        given = str(before + change if given[0] == "+" else before - change)
    transaction.tx[key] = given.encode("latin-1", "replace")


def _number(text: bytes) -> int:
    found = re.match(rb"-?\d{1,18}", text)
    return int(found[0]) if found else 0


def control(text: str, removed: Removed) -> None:
    """What is no exclusion has no effect here: auditing, and the body that is held anyway."""
    name, _, value = text.partition("=")
    if name == "ruleRemoveById":
        removed.ids.add(int(value))
    elif name == "ruleRemoveByTag":
        removed.tags.add(value)
    elif name in {"ruleRemoveTargetById", "ruleRemoveTargetByTag"}:
        key, _, target = value.partition(";")
        collection, _, member = target.partition(":")
        pattern = re.compile(member[1:-1], re.IGNORECASE) if member.startswith("/") else None
        removed.targets.append((key, Target(collection.upper(), member.lower() or None, pattern)))
