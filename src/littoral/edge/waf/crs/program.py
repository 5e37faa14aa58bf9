"""A rule set at one paranoia level: what of it can still run, and how a request is judged by it.

Settings do not change while the place runs, so every rule that only asks settings is run once, here: which defaults are
set, which paranoia levels are skipped. What is left asks the request (or what such rules have set), goes through the
sieve, and is run exactly where the sieve lets it through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.edge.waf.crs.engine import MACRO, Compiled, Engine, Outcome, Removed, set_variable
from littoral.edge.waf.crs.kinds import REMEMBERED
from littoral.edge.waf.crs.ruleset import Source, settings
from littoral.edge.waf.crs.seclang import Rule, Target
from littoral.edge.waf.crs.sieve import Sieve
from littoral.edge.waf.crs.transaction import Transaction
from littoral.edge.waf.patterns import LONGEST_REMEMBERED
from littoral.edge.waf.view import View
from littoral.edge.waf.work import Exhausted
from littoral.net.message import BytesBody, Headers, Peer, Request

NOTHING = Outcome()
UNFINISHED = Outcome(exhausted=True)
A_PAIR = 4  # units of work to gather a value once more
FRAME = (901, 905, 949, 999)  # files of the rule set that every selection of it needs


@dataclass(frozen=True, slots=True)
class Worth:
    """Of a mask: the rules that may match, those of them that count, and whether one of these is to be run in any case
    because another that may run sets what it asks."""

    candidates: list[Compiled]
    decisive: list[Compiled]
    surely: bool


class Program:
    """``selects`` chooses among the rules by number of their file (942 is SQL injection); ``quiet`` are ids of rules
    that match without counting; ``more`` are further settings. Raises Unreadable."""

    def __init__(
        self,
        source: Source,
        level: int,
        threshold: int = 5,
        *,
        selects: Callable[[int], bool] = lambda _file: True,
        quiet: frozenset[int] = frozenset(),
        more: Mapping[str, bytes] | None = None,
    ) -> None:
        self._engine = Engine(source.entries(), source.data())
        self.left_out = self._engine.left_out
        self._quiet = quiet
        self._changing: set[str] = set()
        self._start = Transaction(_no_request(), settings(level, threshold) | dict(more or {}))
        rules = [each for each in self._engine.rules if each.rule.id // 1000 in FRAME or selects(each.rule.id // 1000)]
        self.rules = self._residual(rules)
        decisive = frozenset(each.index for each in self.rules if scores(each.rule) and each.rule.id // 1000 != 949)
        self.decisive = frozenset(each.rule.id for each in self.rules if each.index in decisive)
        self._sets = {each.index: names for each in self.rules if (names := _names_set(each.rule))}
        self._known_masks: dict[int, Worth] = {}
        self._known: dict[tuple[Any, ...], bool] = {}  # whether a rule matches those values
        self._reads = {each.index: _request_asked(each) for each in self.rules}
        self._asks = {each.index: _tx_asked(each) for each in self.rules}
        self._sieve = Sieve(self.rules, self._start, frozenset(self._changing), decisive)

    def judge(self, view: View) -> Outcome:
        """Of a request that costs more than one may, nothing but that."""
        try:
            return self._judge(view)
        except Exhausted:
            return UNFINISHED

    def _judge(self, view: View) -> Outcome:
        transaction = Transaction(view, self._start.tx)
        mask = self._sieve.mask(transaction)
        worth = self._known_masks.get(mask)
        if worth is None:
            worth = self._worth(mask)
        if not worth.surely and not any(self._may_match(each, transaction) for each in worth.decisive):
            return NOTHING
        transaction.tx, transaction.matched = dict(self._start.tx), []
        return self._engine.run(transaction, worth.candidates, self._quiet)

    def _worth(self, mask: int) -> Worth:
        """Masks come again and again."""
        candidates = self._sieve.candidates(mask) if self._sieve.decides(mask) else []
        decisive = [each for each in candidates if each.rule.id in self.decisive]
        surely = any(self._feeds(other, each) for each in decisive for other in candidates if other is not each)
        if len(self._known_masks) >= REMEMBERED:
            self._known_masks.clear()
        found = self._known_masks[mask] = Worth(candidates, decisive, surely)
        return found

    def _may_match(self, each: Compiled, transaction: Transaction) -> bool:
        """Alone, as if no other rule had run."""
        read = [pair for target in self._reads[each.index] for pair in transaction.values(target)]
        transaction.spend(len(read) * A_PAIR)
        key = each.index, *read
        found = self._known.get(key)
        if found is None:
            transaction.tx = dict(self._start.tx)
            found = self._engine.matches(each, transaction, Removed(), quiet=False)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            if sum(len(value) for _, value in read) <= LONGEST_REMEMBERED:
                self._known[key] = found
        return found

    def _feeds(self, other: Compiled, each: Compiled) -> bool:
        names = self._sets.get(other.index)
        return names is not None and any(_meant(name, target) for target in self._asks[each.index] for name in names)

    def exactly(self, view: View) -> Outcome:
        """The same without the sieve: what tests compare with."""
        return self._engine.run(Transaction(view, dict(self._start.tx)), self.rules, self._quiet)

    # ------------------------------------------------------------------------------------ settings, once

    def _residual(self, rules: list[Compiled]) -> list[Compiled]:
        left: list[Compiled] = []
        for phase in (1, 2):
            skip_to = -1
            for each in rules:
                if each.rule.phase != phase or each.index < skip_to:
                    continue
                if self._never(each):
                    continue
                if not self._is_static(each):
                    left.append(each)
                    self._changing.update(_names_set(each.rule))
                elif each.rule.denies:
                    left.append(each)
                elif self._engine.matches(each, self._start, Removed(), quiet=True):
                    if each.rule.skip_after is not None:
                        skip_to = self._engine.markers.get(each.rule.skip_after, -1)
                    self._set(each, left)
        return left

    def _never(self, each: Compiled) -> bool:
        """Whether the first condition asks settings only, and they say no."""
        first = each.links[0]
        if not first.included or not self._is_static(Compiled(each.rule, (first,), each.index)):
            return False
        return not self._engine.condition(each.rule, first, self._start, Removed())

    def _is_static(self, each: Compiled) -> bool:
        for link in each.links:
            if any(target.collection != "TX" or target.pattern is not None for target in link.included):
                return False
            if any(self._is_changing(target.selector or "") for target in link.included):
                return False
            if not self._are_settled(MACRO.findall(link.argument)):
                return False
            if link.condition.controls or link.condition.capture:
                return False
        return True

    def _set(self, each: Compiled, left: list[Compiled]) -> None:
        """Apply what the rule sets, or leave it for later where that needs what changes, or changes it back: a score
        that phase 1 has added to is set to nothing before phase 2."""
        texts = [text for link in each.links for text in link.condition.setvars]
        names = [name for text in texts for name in MACRO.findall(text)]
        given = _names_set(each.rule)
        if not self._are_settled(names) or any(map(self._is_changing, given)):
            left.append(each)
            self._changing.update(given)
            return
        for text in texts:
            set_variable(text, self._start)

    def _are_settled(self, macros: list[str]) -> bool:
        """Whether these macros are settings that no rule changes."""
        return all(name.upper().startswith("TX.") and not self._is_changing(name[3:]) for name in macros)

    def _is_changing(self, name: str) -> bool:
        name = name.lower()
        return name.isdigit() or any(
            name == each or (each.endswith("_") and name.startswith(each)) for each in self._changing
        )


def scores(rule: Rule) -> bool:
    """Whether a match adds to a score, or denies."""
    return rule.denies or any("score" in text for link in rule.conditions for text in link.setvars)


def _names_set(rule: Rule) -> set[str]:
    """The names in TX that a rule sets; of one that is made of macros, what stands before them."""
    found = set()
    for condition in rule.conditions:
        for text in condition.setvars:
            name = text.partition("=")[0].lower().lstrip("!")
            if name.startswith("tx."):
                found.add(name[3:].partition("%{")[0])
    return found


def _tx_asked(each: Compiled) -> list[Target]:
    return [target for link in each.links for target in link.included if target.collection == "TX"]


def _request_asked(each: Compiled) -> list[Target]:
    own = ("TX", "MATCHED_VAR", "MATCHED_VARS", "MATCHED_VARS_NAMES")
    return [target for link in each.links for target in link.included if target.collection not in own]


def _meant(name: str, target: Target) -> bool:
    """Whether the variable that a rule sets, or all that begin so, may be the one that a target means."""
    if target.selector is None or target.pattern is not None:
        return target.selector is None or target.pattern is None or target.pattern.search(name) is not None
    return name == target.selector or (name.endswith("_") and target.selector.startswith(name))


def _no_request() -> View:
    return View(Request("GET", "/", Headers([]), BytesBody(), Peer("", 0)), 0.0, 0)
