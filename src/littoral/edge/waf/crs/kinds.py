"""The conditions that look at one kind of value (an argument, a cookie, the header of that name), and what they say.

Each condition is a bit. Of a value those transformations are done that may change it (``reach.py``); what gives the
same is looked at once, in one RE2 set of all expressions of the kind. Which they are is worked out once for the classes
of bytes that a value holds, and what a short value matched is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from littoral.edge.waf.crs.operators import TRANSFORMATIONS, Test, expression, phrases
from littoral.edge.waf.crs.seclang import Condition
from littoral.edge.waf.patterns import LONGEST_REMEMBERED, PatternSet, options
from littoral.edge.waf.reach import Bytes, Classes, Steps, needed
from littoral.edge.waf.transformations import Transformation, composed
from littoral.edge.waf.work import A_LOOK, Spend

REMEMBERED = 8192  # values of one kind
PLANS = 1024  # combinations of classes of bytes
SEARCHES = frozenset(("rx", "pm", "pmFromFile", "pmf"))
Checks = list[tuple[Test, int, bool]]  # test, bit, negated


@dataclass(slots=True)
class Look:
    """What is asked of a value after the same steps: ``places`` are the bits by the set's expression."""

    places: dict[int, int] = field(default_factory=dict)
    negated: int = 0
    checks: Checks = field(default_factory=list)

    def join(self, other: Look) -> None:
        for place, bits in other.places.items():
            self.places[place] = self.places.get(place, 0) | bits
        self.negated |= other.negated
        self.checks.extend(each for each in other.checks if each not in self.checks)


Plan = list[tuple[Transformation, int, Look]]  # how often a value is gone over is the second


class Kind:
    def __init__(self) -> None:
        self._patterns: dict[bytes, int] = {}
        self._looks: dict[Steps, Look] = {}
        self._known: dict[bytes, int] = {}
        self._plans: dict[Bytes, Plan] = {}
        self._set: PatternSet | None = None
        self._classes = Classes(())

    def add(self, condition: Condition, test: Test, argument: str, bit: int) -> None:
        for steps in _stages(condition):
            look = self._looks.setdefault(steps, Look())
            if condition.operator not in SEARCHES:
                look.checks.append((test, bit, condition.negated))
                continue
            pattern = expression(argument) if condition.operator == "rx" else phrases(argument)
            place = 1 << self._patterns.setdefault(pattern, len(self._patterns))
            look.places[place] = look.places.get(place, 0) | bit
            if condition.negated:
                look.negated |= bit

    def build(self) -> None:
        self._set = PatternSet(list(self._patterns), options(dot_nl=True)) if self._patterns else None
        self._classes = Classes(step for steps in self._looks for step in steps)

    def mask(self, value: bytes, spend: Spend) -> int:
        """Raises Exhausted."""
        mask = self._known.get(value)
        if mask is None:
            mask = self._look(value, spend)
            if len(value) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[value] = mask
        return mask

    def _look(self, value: bytes, spend: Spend) -> int:
        present = self._classes.of(value)
        plan = self._plans.get(present)
        if plan is None:
            plan = self._plan(present)
        mask = 0
        matched: dict[bytes, int] = {}  # of a transformed value: the expressions
        for transform, times, look in plan:
            spend(times * len(value) + A_LOOK)
            text = transform(value)
            if look.places:
                found = matched.get(text)
                if found is None:
                    assert self._set is not None
                    found = matched[text] = self._set.match(text)
                hits = 0
                if found:
                    for place, bits in look.places.items():
                        if found & place:
                            hits |= bits
                mask |= (hits & ~look.negated) | (look.negated & ~hits)
            for test, bit, inverted in look.checks:
                if (test(text) is None) == inverted:
                    mask |= bit
        return mask

    def _plan(self, present: Bytes) -> Plan:
        joined: dict[Steps, Look] = {}
        for steps, look in self._looks.items():
            joined.setdefault(needed(steps, present), Look()).join(look)
        if len(self._plans) >= PLANS:
            self._plans.clear()
        made = self._plans[present] = [(composed(steps), len(steps) + 1, look) for steps, look in joined.items()]
        return made


def _stages(condition: Condition) -> Iterator[Steps]:
    """After all transformations; for multiMatch before the first and after each."""
    steps = tuple(TRANSFORMATIONS[name] for name in condition.transformations)
    if condition.multi_match:
        yield from (steps[:count] for count in range(len(steps)))
    yield steps
