"""Many patterns, one look: the literals and expressions of one field and transformation chain as one RE2 set.

RE2 takes time linear in the text, whatever the pattern. What a value matched is remembered for short values, for the
same paths, agents and cookies come again and again; a flood of new ones only empties that memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import re2

from littoral.edge.waf.fields import Values
from littoral.edge.waf.transformations import Transformation
from littoral.edge.waf.view import View

MEMORY = 64 * 1024 * 1024  # bytes that one set may use; beyond it RE2 becomes slower, not wrong
REMEMBERED = 4096  # values
LONGEST_REMEMBERED = 512  # bytes of a value


class BadPattern(ValueError):
    """RE2 does not take it: look-around, back references, or beyond the memory."""


def options(*, case_sensitive: bool = True, dot_nl: bool = False) -> re2.Options:
    made = re2.Options()
    made.encoding = re2.Options.Encoding.LATIN1
    made.max_mem = MEMORY
    made.log_errors = False
    made.never_capture = True
    made.case_sensitive = case_sensitive
    made.dot_nl = dot_nl
    return made


def check(pattern: bytes) -> None:
    """Raises BadPattern with RE2's words."""
    try:
        re2.compile(pattern, options())
    except re2.error as problem:
        text = problem.args[0] if problem.args else ""
        raise BadPattern(text.decode("latin-1") if isinstance(text, bytes) else str(text)) from problem


def literal(text: bytes, constraint: str) -> bytes:
    """A ByteMatchStatement's search string as an expression. Bytes, whatever they are."""
    quoted = b"".join(bytes((c,)) if chr(c).isascii() and chr(c).isalnum() else b"\\x%02x" % c for c in text)
    word = rb"[^A-Za-z0-9_]"
    return {
        "EXACTLY": rb"\A" + quoted + rb"\z",
        "STARTS_WITH": rb"\A" + quoted,
        "ENDS_WITH": quoted + rb"\z",
        "CONTAINS": quoted,
        "CONTAINS_WORD": rb"(?:\A|" + word + rb")" + quoted + rb"(?:\z|" + word + rb")",
    }[constraint]


class PatternSet:
    """Which of the patterns a text matches, as the bits of a number."""

    def __init__(self, patterns: Sequence[bytes], settings: re2.Options | None = None) -> None:
        settings = settings or options()
        self._sets: list[tuple[int, Callable[[bytes], Sequence[int]]]] = []
        self._build(list(patterns), 0, settings)
        self._known: dict[bytes, int] = {}

    def _build(self, patterns: list[bytes], first: int, settings: re2.Options) -> None:
        """One set; halves of it where together they are too much for the memory. Raises BadPattern."""
        made = re2.Set.SearchSet(settings)
        try:
            for pattern in patterns:
                made.Add(pattern)
            made.Compile()
        except re2.error as problem:
            if len(patterns) < 2:
                raise BadPattern(f"{patterns[0]!r}: {problem}") from problem
            half = len(patterns) // 2
            self._build(patterns[:half], first, settings)
            self._build(patterns[half:], first + half, settings)
            return
        self._sets.append((first, _matcher(made)))

    def match(self, text: bytes) -> int:
        """Bit n is pattern n."""
        mask = 0
        for first, made in self._sets:
            found = made(text)
            if found:
                for index in found:
                    mask |= 1 << (first + index)
        return mask

    def remembered(self, text: bytes, transform: Transformation | None = None) -> int:
        """The same, of the transformed text, and kept for next time."""
        mask = self._known.get(text)
        if mask is None:
            mask = self.match(transform(text) if transform is not None else text)
            if len(text) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[text] = mask
        return mask


def _matcher(made: re2.Set) -> Callable[[bytes], Sequence[int]]:
    """The binding's own method where it is to be had: the module's costs as much again as a short look."""
    inner = getattr(made, "_set", made)
    found: Callable[[bytes], Sequence[int]] = inner.Match
    return found


class PatternGroup:
    """Patterns over one field and chain; ``mask`` looks once a request."""

    def __init__(self, slot: int, values: Values, transform: Transformation | None) -> None:
        self._slot = slot
        self._values = values
        self._transform = transform
        self._patterns: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._set: PatternSet | None = None
        self._all = 0

    def add(self, pattern: bytes) -> int:
        """The pattern's bit. Raises BadPattern."""
        if pattern not in self._places:
            check(pattern)
            self._places[pattern] = 1 << len(self._patterns)
            self._patterns.append(pattern)
            self._all = (1 << len(self._patterns)) - 1
        return self._places[pattern]

    def build(self) -> None:
        self._set = PatternSet(self._patterns)

    def mask(self, view: View) -> int:
        mask: int | None = view.slots[self._slot]
        if mask is None:
            mask = 0
            values = self._values(view)
            if values is True:
                mask = self._all
            elif values and self._set is not None:
                for value in values:
                    mask |= self._set.remembered(value, self._transform)
            view.slots[self._slot] = mask
        return mask


class SetTest:
    """Whether any of these patterns matched. Who asks many may ask the group once and hold ``bits`` against that.
    ``plain``: it may match a plain query."""

    __slots__ = ("bits", "group", "plain")

    def __init__(self, group: PatternGroup, bits: int, *, plain: bool) -> None:
        self.group = group
        self.bits = bits
        self.plain = plain

    def __call__(self, view: View) -> bool:
        return self.group.mask(view) & self.bits != 0
