"""What a request can match at all, found out once for each value: the way of nearly every request.

A rule's conditions are tests of single values, and whether a value passes a test depends on nothing else. So the
values of one **kind** (an argument, a cookie, the header of that name, the path, …) are looked up in a memory of masks
(``kinds.py``); one bit stands for one condition of one rule. What all parts of a **head** but its target say together
(headers, cookies, method, address) is remembered too, for clients send the same again and again.

A rule is worth the exact engine when the bit of each of its conditions is set. Conditions that the sieve cannot decide
(scores and what other rules set, captures) count as set: it lets through too much, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from littoral.edge.waf.crs.engine import Compiled, Link, expand
from littoral.edge.waf.crs.kinds import REMEMBERED, Kind
from littoral.edge.waf.crs.operators import Test, compiled
from littoral.edge.waf.crs.seclang import Target
from littoral.edge.waf.crs.transaction import Transaction
from littoral.edge.waf.view import Head

Count = tuple[Target, Test, bool, int]
OF_BODIES = frozenset(
    "ARGS_POST ARGS_POST_NAMES FILES FILES_NAMES MULTIPART_PART_HEADERS REQUEST_BODY REQUEST_BODY_LENGTH "
    "FILES_COMBINED_SIZE XML".split()
)
OF_HEADS = frozenset(
    "REQUEST_HEADERS_NAMES REQUEST_COOKIES REQUEST_COOKIES_NAMES REQUEST_METHOD REQUEST_PROTOCOL REMOTE_ADDR "
    "REQBODY_PROCESSOR".split()
)
# What is made of others, or the same: a value is looked at once.
PARTS = {
    "ARGS": ("ARGS_GET", "ARGS_POST"),
    "ARGS_NAMES": ("ARGS_GET_NAMES", "ARGS_POST_NAMES"),
    "REQUEST_URI_RAW": ("REQUEST_URI",),
}
UNDECIDED = frozenset(
    ("TX", "MATCHED_VAR", "MATCHED_VARS", "MATCHED_VARS_NAMES", "UNIQUE_ID", "DURATION", "GLOBAL", "IP")
)
HEADERS, NAMES = "REQUEST_HEADERS", "REQUEST_HEADERS_NAMES"
LONGEST_HEAD = 4096  # bytes of one that is remembered
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
        self._body_counts: list[Count] = []
        self._header_counts: list[Count] = []
        self._known_names: dict[tuple[bytes, ...], int] = {}
        self._known_heads: dict[Head, int] = {}
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
        plain = [(name, kind) for name, kind in self._kinds.items() if not name.startswith(prefix) and name != HEADERS]
        self._of_heads = [(name, kind) for name, kind in plain if name in OF_HEADS]
        self._of_targets = [(name, kind) for name, kind in plain if name not in OF_HEADS | OF_BODIES]
        self._of_bodies = [(name, kind) for name, kind in plain if name in OF_BODIES]
        self._no_body = _counted_as(self._body_counts, b"0")
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
                self._counts_of(target).append((target, test, link.condition.negated, bit))
                continue
            for name in self._kinds_of(target, link):
                self._kinds.setdefault(name, Kind()).add(link.condition, test, argument, bit)
        return True

    def _counts_of(self, target: Target) -> list[Count]:
        if target.collection == HEADERS:
            return self._header_counts
        return self._body_counts if target.collection in OF_BODIES else self._counts

    def _kinds_of(self, target: Target, link: Link) -> list[str]:
        """Each header that some rule names is a kind of its own; the others are one together."""
        if target.collection != HEADERS or target.pattern is not None:
            return list(PARTS.get(target.collection, (target.collection,)))
        if target.selector is not None:
            return [f"{HEADERS}:{target.selector}"]
        excluded = {each.selector for each in link.excluded if each.collection == HEADERS}
        return [HEADERS, *(f"{HEADERS}:{name}" for name in self._headers if name not in excluded)]

    def mask(self, transaction: Transaction) -> int:
        """Raises Exhausted."""
        mask, spend = self._always, transaction.spend
        mask |= self._head(transaction)
        if self._counts:
            mask |= _count(self._counts, transaction)
        for name, kind in self._of_targets:
            for _, value in transaction.collection(name):
                mask |= kind.mask(value, spend)
        return mask | (self._body(transaction) if transaction.has_body else self._no_body)

    def _head(self, transaction: Transaction) -> int:
        head = transaction.head
        mask = self._known_heads.get(head)
        if mask is None:
            mask = self._look(transaction)
            if sum(len(name) + len(value) for name, value in transaction.raw) <= LONGEST_HEAD:
                if len(self._known_heads) >= REMEMBERED:
                    self._known_heads.clear()
                self._known_heads[head] = mask
        return mask

    def _look(self, transaction: Transaction) -> int:
        """At a head that is not known."""
        mask, spend = self._counted(transaction), transaction.spend
        for name, kind in self._of_heads:
            for _, value in transaction.collection(name):
                mask |= kind.mask(value, spend)
        named, others = self._named, self._kinds.get(HEADERS, EMPTY)
        for key, value in transaction.collection(HEADERS):
            mask |= named.get(key, others).mask(value, spend)
        return mask

    def _body(self, transaction: Transaction) -> int:
        mask, spend = _count(self._body_counts, transaction), transaction.spend
        for name, kind in self._of_bodies:
            for _, value in _xml(transaction) if name == "XML" else transaction.collection(name):
                mask |= kind.mask(value, spend)
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
        return mask

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


def _counted_as(counts: Sequence[Count], number: bytes) -> int:
    """As if there were so many of each."""
    return sum({bit for _, test, negated, bit in counts if (test(number) is None) == negated})


def _xml(transaction: Transaction) -> Iterable[tuple[str, bytes]]:
    content = transaction.content
    if content.xml_text is not None:
        yield "", content.xml_text
    for value in content.xml_attributes:
        yield "", value
