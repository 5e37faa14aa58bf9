"""What a request can match at all, found out once for each value: the way of nearly every request.

A rule's conditions are tests of single values, and whether a value passes a test depends on nothing else. So the
values of one **kind** (an argument, a cookie, the header of that name, the path, …) are looked up in a memory of masks;
one bit stands for one condition of one rule. A value that is not remembered is transformed by each chain that some
condition of its kind has; equal results are looked at once, in one RE2 set of all expressions of the kind.

A rule is worth the exact engine when the bit of each of its conditions is set. Conditions that the sieve cannot decide
(scores and what other rules set, captures) count as set: it lets through too much, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from littoral.edge.waf.crs.engine import Compiled, Link, expand
from littoral.edge.waf.crs.operators import TRANSFORMATIONS, Test, compiled, expression, phrases
from littoral.edge.waf.crs.seclang import Target
from littoral.edge.waf.crs.transaction import Transaction
from littoral.edge.waf.patterns import LONGEST_REMEMBERED, PatternSet, options
from littoral.edge.waf.transformations import Transformation, chain

Chain = tuple[str, ...]
Count = tuple[Target, Test, bool, int]
OF_BODIES = frozenset("ARGS_POST ARGS_POST_NAMES FILES FILES_NAMES MULTIPART_PART_HEADERS REQUEST_BODY XML".split())
REMEMBERED = 8192  # values of one kind
SEARCHES = frozenset(("rx", "pm", "pmFromFile", "pmf"))
UNDECIDED = frozenset(
    ("TX", "MATCHED_VAR", "MATCHED_VARS", "MATCHED_VARS_NAMES", "UNIQUE_ID", "DURATION", "GLOBAL", "IP")
)
HEADERS, NAMES = "REQUEST_HEADERS", "REQUEST_HEADERS_NAMES"


class Kind:
    """The conditions that look at one kind of value."""

    def __init__(self) -> None:
        self._searches: dict[Chain, list[tuple[bytes, int, bool]]] = {}  # expression, bit, negated
        self._tests: dict[Chain, list[tuple[Test, int, bool]]] = {}
        self._multi: list[tuple[Link, Test, int]] = []
        self._known: dict[bytes, int] = {}
        self._ready: list[tuple[Transformation, dict[int, int], int]] = []
        self._checks: list[tuple[Transformation, list[tuple[Test, int, bool]]]] = []
        self._set: PatternSet | None = None

    def add(self, link: Link, test: Test, argument: str, bit: int) -> None:
        condition = link.condition
        if condition.multi_match:
            self._multi.append((link, test, bit))
        elif condition.operator in SEARCHES:
            pattern = expression(argument) if condition.operator == "rx" else phrases(argument)
            self._searches.setdefault(condition.transformations, []).append((pattern, bit, condition.negated))
        else:
            self._tests.setdefault(condition.transformations, []).append((test, bit, condition.negated))

    def build(self) -> None:
        patterns: list[bytes] = []
        for names, entries in self._searches.items():
            places: dict[int, int] = {}
            negated = 0
            for pattern, bit, inverted in entries:
                if pattern not in patterns:
                    patterns.append(pattern)
                place = 1 << patterns.index(pattern)
                places[place] = places.get(place, 0) | bit
                if inverted:
                    negated |= bit
            self._ready.append((chain(names, TRANSFORMATIONS), places, negated))
        self._checks = [(chain(names, TRANSFORMATIONS), tests) for names, tests in self._tests.items()]
        self._set = PatternSet(patterns, options(dot_nl=True)) if patterns else None

    def mask(self, value: bytes) -> int:
        mask = self._known.get(value)
        if mask is None:
            mask = self._look(value)
            if len(value) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[value] = mask
        return mask

    def _look(self, value: bytes) -> int:
        mask = 0
        matched: dict[bytes, int] = {}  # of a transformed value: the expressions
        for transform, places, negated in self._ready:
            text = transform(value)
            found = matched.get(text)
            if found is None:
                assert self._set is not None
                found = matched[text] = self._set.match(text)
            hits = 0
            if found:
                for place, bits in places.items():
                    if found & place:
                        hits |= bits
            mask |= (hits & ~negated) | (negated & ~hits)
        for transform, tests in self._checks:
            text = transform(value)
            for test, bit, inverted in tests:
                if (test(text) is None) == inverted:
                    mask |= bit
        for link, test, bit in self._multi:
            if link.match(value, test) is not None:
                mask |= bit
        return mask


EMPTY = Kind()


class Sieve:
    """``rules`` are those that can still run; ``constants`` holds what the settings make of TX, for macros over names
    that are not ``changing``. ``decisive`` are the indexes of rules that add to a score or deny."""

    def __init__(
        self,
        rules: Sequence[Compiled],
        constants: Transaction,
        changing: frozenset[str],
        decisive: frozenset[int],
    ) -> None:
        self._kinds: dict[str, Kind] = {}
        self._counts: list[Count] = []
        self._header_counts: list[Count] = []
        self._known_names: dict[tuple[bytes, ...], int] = {}
        self._always = 0  # bits of conditions that are not decided here
        self._needs: list[tuple[int, Compiled]] = []
        self._constants, self._changing = constants, changing
        self._headers = _header_names(rules)
        bits = 0
        for each in rules:
            need = 0
            for link in each.links:
                bit = 1 << bits
                bits += 1
                need |= bit
                if not self._place(link, bit):
                    self._always |= bit
            self._needs.append((need, each))
        for kind in self._kinds.values():
            kind.build()
        prefix = HEADERS + ":"
        self._named = {name.removeprefix(prefix): kind for name, kind in self._kinds.items() if name.startswith(prefix)}
        self._plain = [
            (name, kind) for name, kind in self._kinds.items() if not name.startswith(prefix) and name != HEADERS
        ]
        self._bodyless = [(name, kind) for name, kind in self._plain if name not in OF_BODIES]
        wanted = [need & ~self._always for need, each in self._needs if each.index in decisive]
        self._single = sum(need for need in wanted if need.bit_count() == 1)
        self._chains = [need for need in wanted if need.bit_count() > 1]

    def _place(self, link: Link, bit: int) -> bool:
        """Whether the condition is decided by the values' masks."""
        if not link.included or any(target.collection in UNDECIDED for target in link.included):
            return False
        test, argument = link.test, link.argument
        if test is None:
            if any(name in argument.lower() for name in self._changing) or "%{tx." not in argument.lower():
                return False
            argument = expand(argument, self._constants)
            test = compiled(link.condition.operator, argument)
        for target in link.included:
            if target.counted:
                counts = self._header_counts if target.collection == HEADERS else self._counts
                counts.append((target, test, link.condition.negated, bit))
                continue
            for name in self._kinds_of(target, link):
                self._kinds.setdefault(name, Kind()).add(link, test, argument, bit)
        return True

    def _kinds_of(self, target: Target, link: Link) -> list[str]:
        """Each header that some rule names is a kind of its own; the others are one together."""
        if target.collection != HEADERS or target.pattern is not None:
            return [target.collection]
        if target.selector is not None:
            return [f"{HEADERS}:{target.selector}"]
        excluded = {each.selector for each in link.excluded if each.collection == HEADERS}
        return [HEADERS, *(f"{HEADERS}:{name}" for name in self._headers if name not in excluded)]

    def mask(self, transaction: Transaction) -> int:
        mask = self._always | self._counted(transaction)
        for name, kind in self._plain if transaction.has_body else self._bodyless:
            for _, value in _xml(transaction) if name == "XML" else transaction.collection(name):
                mask |= kind.mask(value)
        named, others = self._named, self._kinds.get(HEADERS, EMPTY)
        for key, value in transaction.collection(HEADERS):
            mask |= named.get(key, others).mask(value)
        return mask

    def _counted(self, transaction: Transaction) -> int:
        """Numbers of headers are the same for the same names."""
        names = transaction.header_names()
        mask = self._known_names.get(names)
        if mask is None:
            mask = _count(self._header_counts, transaction)
            if len(self._known_names) >= REMEMBERED:
                self._known_names.clear()
            self._known_names[names] = mask
        return mask | _count(self._counts, transaction)

    def decides(self, mask: int) -> bool:
        """Whether any rule that counts may match."""
        return bool(mask & self._single) or any(mask & need == need for need in self._chains)

    def candidates(self, mask: int) -> list[Compiled]:
        return [each for need, each in self._needs if mask & need == need]


def _header_names(rules: Sequence[Compiled]) -> frozenset[str]:
    return frozenset(
        target.selector
        for each in rules
        for link in each.links
        for target in (*link.included, *link.excluded)
        if target.collection == HEADERS and target.selector is not None and target.pattern is None
    )


def _count(counts: Sequence[Count], transaction: Transaction) -> int:
    mask = 0
    for target, test, negated, bit in counts:
        if (test(transaction.values(target)[0][1]) is None) == negated:
            mask |= bit
    return mask


def _xml(transaction: Transaction) -> Iterable[tuple[str, bytes]]:
    content = transaction.content
    if content.xml_text is not None:
        yield "", content.xml_text
    for value in content.xml_attributes:
        yield "", value
