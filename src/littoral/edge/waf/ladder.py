"""The rules of a web ACL or group in their order, without asking each of them of each request.

Most statements depend on one or two parts of a request, and nearly all requests have parts that came before. So the
rules are gathered by the parts that they read (``reading.py``), and of each combination of such parts it is remembered
which rules match. A request is some look-ups, and then only the rules that match, and those that depend on more, run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from littoral.edge.waf.reading import Part, part
from littoral.edge.waf.verdict import Verdict
from littoral.edge.waf.view import View

Test = Callable[[View], bool]
Step = Callable[[View], Verdict | None]
REMEMBERED = 4096  # combinations of each kind
LONGEST = 1024  # of what is looked up, as ``_size`` counts it


@dataclass(frozen=True, slots=True)
class Rung:
    """``step`` does what the rule does once its ``test`` says so; without a test, at each request. ``reads`` are the
    parts that the test depends on, None where that is more than parts of the head."""

    step: Step
    test: Test | None = None
    reads: frozenset[str] | None = None


class Memory:
    """The rules over the same parts: which of them match, as bits by their place on the ladder."""

    def __init__(self, names: Sequence[str]) -> None:
        self.key: Part = _together([part(name) for name in names])
        self.known: dict[Hashable, int] = {}
        self._tests: list[tuple[Test, int]] = []

    def add(self, test: Test, bit: int) -> None:
        self._tests.append((test, bit))

    def look(self, view: View, key: Hashable) -> int:
        """The mask of what is not known."""
        mask = 0
        for test, bit in self._tests:
            if test(view):
                mask |= bit
        if _size(key) <= LONGEST:
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[key] = mask
        return mask


class Ladder:
    """``climb`` is the first verdict, or None."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = list(rungs)
        self._always = 0
        self._plans: dict[int, tuple[Step, ...]] = {}
        memories: dict[frozenset[str], Memory] = {}
        for place, rung in enumerate(rungs):
            if rung.test is None or rung.reads is None:
                self._always |= 1 << place
            else:
                memory = memories.setdefault(rung.reads, Memory(sorted(rung.reads)))
                memory.add(rung.test, 1 << place)
        self._memories = [(memory, memory.key, memory.known) for memory in memories.values()]

    def climb(self, view: View) -> Verdict | None:
        mask = self._always
        for memory, key_of, known in self._memories:
            key = key_of(view)
            found = known.get(key)
            mask |= memory.look(view, key) if found is None else found
        plan = self._plans.get(mask)
        for step in self._plan(mask) if plan is None else plan:
            verdict = step(view)
            if verdict is not None:
                return verdict
        return None

    def _plan(self, mask: int) -> tuple[Step, ...]:
        """What is to be run where these rules match."""
        chosen = [(place, rung) for place, rung in enumerate(self._rungs) if mask >> place & 1]
        made = tuple([_asked(rung) if self._always >> place & 1 else rung.step for place, rung in chosen])
        if len(self._plans) >= REMEMBERED:
            self._plans.clear()
        self._plans[mask] = made
        return made


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
