"""The rules of a web ACL or group in their order, without asking each of them of each request.

Most statements depend on one or two parts of a request, and nearly all requests have parts that came before. So the
rules are gathered by the parts that they read (``reading.py``), and of each combination of such parts it is remembered
which rules match; of a head that came before, what all its parts but the target say together, and of each path under
it. A request is some look-ups, and then only the rules that match, and those that depend on more, run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

from littoral.edge.waf.detectors import OddTest
from littoral.edge.waf.patterns import PatternGroup, SetTest
from littoral.edge.waf.plain import is_plain
from littoral.edge.waf.reading import Part, part
from littoral.edge.waf.verdict import Verdict
from littoral.edge.waf.view import Head, View
from littoral.edge.waf.work import A_TURN, Aside

Test = Callable[[View], bool]
Step = Callable[[View], Verdict | None]
REMEMBERED = 4096  # combinations of each kind
LONGEST = 1024  # of what is looked up, as ``_size`` counts it
LONGEST_HEAD = 4096
MOST_OF_HEADS, A_HEAD = 16384, 4  # paths and targets under heads; a head counts as so many
OF_TARGETS = frozenset(("path", "query", "target"))


@dataclass(frozen=True, slots=True)
class Rung:
    """``step`` does what the rule does once its ``test`` says so; without a test, at each request. ``reads`` are the
    parts that the test depends on, None where that is more than parts of the head. ``labels``: it may leave labels.
    ``needs_label``: it does nothing where no rule before it left one."""

    step: Step
    test: Test | None = None
    reads: frozenset[str] | None = None
    labels: bool = True
    needs_label: bool = False
    long: bool = False  # over much data it takes long enough to hold up others


class Memory:
    """The rules over the same parts: which of them match, as bits by their place on the ladder."""

    def __init__(self, names: Sequence[str]) -> None:
        self.key: Part = _together([part(name) for name in names])
        self.known: dict[Hashable, int] = {}
        self._sets: dict[PatternGroup, list[tuple[int, int]]] = {}  # patterns, bit
        self._odd: list[tuple[OddTest, int]] = []
        self._tests: list[tuple[Test, int]] = []

    def add(self, test: Test, bit: int) -> None:
        if isinstance(test, SetTest):
            self._sets.setdefault(test.group, []).append((test.bits, bit))
        elif isinstance(test, OddTest):
            self._odd.append((test, bit))
        else:
            self._tests.append((test, bit))

    def mask(self, view: View) -> int:
        key = self.key(view)
        mask = self.known.get(key)
        if mask is None:
            mask = self._look(view)
            if (len(key) if isinstance(key, bytes) else _size(key)) <= LONGEST:
                if len(self.known) >= REMEMBERED:
                    self.known.clear()
                self.known[key] = mask
        return mask

    def _look(self, view: View) -> int:
        """The mask of what is not known."""
        mask = 0
        for group, entries in self._sets.items():
            matched = group.mask(view)
            if matched:
                for patterns, bit in entries:
                    if matched & patterns:
                        mask |= bit
        for test, bit in self._tests:
            if test(view):
                mask |= bit
        if self._odd and view.odd_arguments:
            for odd, bit in self._odd:
                if odd(view):
                    mask |= bit
        return mask


class Known:
    """A head: the mask of the rules over its parts; by path, of those that read the path too; and the targets under it
    that no rule but those that count by rates has matched. A target is kept when it comes the second time: what comes
    only once would be kept in vain. ``free`` are the paths under which that is so whatever a plain query says."""

    __slots__ = ("free", "mask", "once", "passed", "paths")

    def __init__(self, mask: int) -> None:
        self.mask = mask
        self.paths: dict[bytes, int] = {}
        self.free: set[str] = set()
        self.passed: set[str] = set()
        self.once: set[int] = set()  # hashes


class Ladder:
    """``climb`` is the first verdict, or None. ``labelled``: a request may have labels before. ``harmless``: steps that
    are asked of what is known to pass, too."""

    def __init__(self, rungs: Sequence[Rung], *, labelled: bool = False, harmless: Sequence[Step] = ()) -> None:
        self._rungs = list(rungs)
        self._labelled = labelled
        self._harmless = frozenset(harmless)
        self.long = frozenset(rung.step for rung in rungs if rung.long)
        self._always = 0
        self._plans: dict[int, tuple[Step, ...]] = {}
        memories: dict[tuple[frozenset[str], bool], Memory] = {}
        for place, rung in enumerate(rungs):
            if rung.test is None or rung.reads is None:
                self._always |= 1 << place
            else:
                odd = rung.reads == {"query"} and not getattr(rung.test, "plain", True)
                memory = memories.setdefault((rung.reads, odd), Memory(sorted(rung.reads)))
                memory.add(rung.test, 1 << place)
        of = {key: key[0] & OF_TARGETS for key in memories}
        self._of_heads = [memory for key, memory in memories.items() if not of[key]]
        self._of_paths = [memory for key, memory in memories.items() if of[key] == {"path"}]
        self._of_targets = [memory for key, memory in memories.items() if of[key] - {"path"} and not key[1]]
        self._of_odd_queries = [memory for key, memory in memories.items() if key[1]]  # no plain one matches these
        self._remembers = bool(self._of_heads or self._of_paths)
        self._heads: dict[Head, Known] = {}
        self._room = MOST_OF_HEADS

    def known(self, view: View) -> Known:
        """What is remembered of heads like this one."""
        found = self._heads.get(view.head)
        return self._head(view) if found is None else found

    def pass_again(self, view: View, known: Known) -> None:
        """Remember that no rule that is remembered or asked each time matched, but for rates."""
        target = view.request.target
        if len(target) > LONGEST:
            return
        path = target.partition("?")[0]
        if path not in known.free and self._meets_harmless_only(view, known):
            self._make_room()
            known.free.add(path)
        number = hash(target)
        if self._room:
            self._room -= 1
        else:
            self._make_room()
        if number in known.once:
            known.passed.add(target)
        else:
            known.once.add(number)

    def climb(self, view: View, known: Known | None = None) -> Verdict | None:
        for step in self._steps(view, known):
            verdict = step(view)
            if verdict is not None:
                return verdict
        return None

    async def climb_aside(self, view: View, aside: Aside) -> Verdict | None:
        """The same of a long request: steps that take long are handed to ``aside``, others are served between two."""
        for step in self._steps(view, None):
            before = view.left
            verdict = await aside(partial(step, view)) if step in self.long else step(view)
            if verdict is not None:
                return verdict
            if before - view.left > A_TURN:
                await asyncio.sleep(0)
        return None

    def _steps(self, view: View, known: Known | None) -> tuple[Step, ...]:
        """Those that do something with this request, or must be asked."""
        mask = self._always
        if self._remembers:
            head = known or self.known(view)
            found = head.paths.get(view.path)
            mask |= head.mask | (self._path(view, head) if found is None else found)
        for memory in self._of_targets:
            mask |= memory.mask(view)
        if self._of_odd_queries and not is_plain(view.query):
            for memory in self._of_odd_queries:
                mask |= memory.mask(view)
        plan = self._plans.get(mask)
        return self._plan(mask) if plan is None else plan

    def _head(self, view: View) -> Known:
        mask = 0
        for memory in self._of_heads:
            mask |= memory.mask(view)
        made = Known(mask)
        if sum([len(name) + len(value) for name, value in view.raw]) <= LONGEST_HEAD:
            self._make_room(A_HEAD)
            self._heads[view.head] = made
        return made

    def _path(self, view: View, head: Known) -> int:
        mask = 0
        for memory in self._of_paths:
            mask |= memory.mask(view)
        if len(view.path) <= LONGEST:
            self._make_room()
            head.paths[view.path] = mask
        return mask

    def _meets_harmless_only(self, view: View, known: Known) -> bool:
        """Whether that is so of all requests with that head and path that have a plain query."""
        path = known.paths.get(view.path)
        if path is None or self._of_targets:
            return False
        return self._harmless.issuperset(self._plan(self._always | known.mask | path))

    def _make_room(self, needed: int = 1) -> None:
        if self._room < needed:
            for known in self._heads.values():  # which may be in use
                known.free.clear()
                known.passed.clear()
            self._heads.clear()
            self._room = MOST_OF_HEADS
        self._room -= needed

    def _plan(self, mask: int) -> tuple[Step, ...]:
        """What is to be run where these rules match."""
        made: list[Step] = []
        labels = self._labelled
        for place, rung in enumerate(self._rungs):
            if mask >> place & 1 and (labels or not rung.needs_label):
                made.append(_asked(rung) if self._always >> place & 1 else rung.step)
                labels = labels or rung.labels
        if len(self._plans) >= REMEMBERED:
            self._plans.clear()
        self._plans[mask] = plan = tuple(made)
        return plan


def _asked(rung: Rung) -> Step:
    test, step = rung.test, rung.step
    if test is None:
        return step
    return lambda view: step(view) if test(view) else None


def _together(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda view: (first(view), second(view))
    return lambda view: tuple([each(view) for each in parts])


def _size(key: Hashable) -> int:
    """Bytes and characters; of what is nested too."""
    if isinstance(key, tuple):
        return sum(_size(each) + 16 for each in key)
    return len(key) if isinstance(key, (str, bytes)) else 0
