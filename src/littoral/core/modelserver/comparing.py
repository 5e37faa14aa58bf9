"""A new version of a model beside the one that serves: what each answers to the same questions, held together. Pure.

The distance of one answer from another is the root mean square of the difference, as a share of that of all that the
serving version answered to these questions; of several outputs the farthest counts, of texts the share of those that
differ. An error, or an answer of another form, has no distance: it is counted by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.core.recipe import BadComponent

MOST_QUESTIONS: Final = 10_000
MOST_SECONDS: Final = 24 * 3600
TEXTS: Final = "BYTES"
_MEMBERS: Final = {"questions", "samples", "seconds", "mean", "p95", "errors"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a new version is asked before it counts, and how far its answers may be from the one's that serves."""

    questions: int  # of devices, 0 for none
    samples: str  # a file beside the model, a request a line; "" for none
    seconds: float  # for all of it
    mean: float  # distance, over all questions
    p95: float  # distance that 95 of 100 questions keep
    errors: float  # share of the questions


def bounds_of(name: str, given: Any) -> Bounds | None:
    """None where none are said. Raises BadComponent."""
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() - _MEMBERS:
        raise BadComponent(f"the trial of {name} must be an object of {', '.join(sorted(_MEMBERS))}")
    samples = given.get("samples", "")
    if not isinstance(samples, str):
        raise BadComponent(f"the trial of {name}: samples is the name of a file")
    found = Bounds(
        int(_number(name, given, "questions", 0, MOST_QUESTIONS)),
        samples,
        _number(name, given, "seconds", 600, MOST_SECONDS),
        _number(name, given, "mean", math.inf, math.inf),
        _number(name, given, "p95", math.inf, math.inf),
        _number(name, given, "errors", 0, 1),
    )
    if not found.questions and not found.samples:
        raise BadComponent(f"the trial of {name} must have questions (how many) or samples (a file)")
    return found


def _number(name: str, given: Mapping[str, Any], key: str, otherwise: float, most: float) -> float:
    value = given.get(key, otherwise)
    whole = key == "questions"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 <= value <= most:
        up_to = f"from 0 to {most}" if most < math.inf else "from 0 on"
        raise BadComponent(f"the trial of {name}: {key} is a {'whole ' if whole else ''}number {up_to}")
    return value


class NotAlike(Exception):
    """An answer that has no distance from another; the message says why."""


@dataclass(slots=True)
class _Output:
    """One of a model: what the serving version answered over all questions, and how far each answer is from it."""

    squares: float = 0.0
    count: int = 0
    apart: list[float] = field(default_factory=list)  # root mean square, a question each

    @property
    def distances(self) -> list[float]:
        scale = math.sqrt(self.squares / self.count) if self.count else 0.0
        return [(each / scale if scale else math.inf) if each else 0.0 for each in self.apart]


@dataclass(slots=True)
class Comparison:
    bounds: Bounds
    wanted: int  # questions
    failed: int = 0
    why: str = ""  # the first of those
    alike: int = 0  # those that have a distance
    outputs: dict[str, _Output] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        return self.alike + self.failed

    def answered(self, serving: bytes, tried: bytes) -> None:
        """Two answers to one question (JSON of the Open Inference Protocol)."""
        try:
            found = _held_together(_outputs(serving), _outputs(tried))
        except NotAlike as problem:
            self.failing(str(problem))
            return
        self.alike += 1
        for name, (of_all, between, count) in found.items():
            output = self.outputs.setdefault(name, _Output())
            output.squares += of_all * of_all
            output.count += count
            output.apart.append(between / math.sqrt(max(1, count)))

    def failing(self, why: str) -> None:
        """The new version has no answer to what the serving one answered."""
        self.failed += 1
        self.why = self.why or why

    @property
    def over(self) -> bool:
        """All is asked, or the rest cannot make it good."""
        return self.asked >= self.wanted or self.failed > self.bounds.errors * self.wanted

    @property
    def verdict(self) -> str:
        """Why it must not serve; "" where it may."""
        if self.failed > self.bounds.errors * max(self.wanted, self.asked):
            return f"{self.failed} of {self.asked} questions failed: {self.why}"
        found = self.distances()
        if not found:
            return ""
        mean, p95 = sum(found) / len(found), found[math.ceil(0.95 * len(found)) - 1]
        for word, value, most in (("mean", mean, self.bounds.mean), ("p95", p95, self.bounds.p95)):
            if not value <= most:  # NaN is too far, too
                return f"its answers to {len(found)} questions drift: {word} {value:.3g}, where {most:g} is allowed"
        return ""

    def distances(self) -> list[float]:
        """Of each question, the nearest first."""
        of_outputs = [each.distances for each in self.outputs.values()]
        return sorted(map(max, zip(*of_outputs, strict=True)))


def _outputs(answer: bytes) -> dict[str, Mapping[str, Any]]:
    """Raises NotAlike."""
    try:
        return {str(each["name"]): each for each in json.loads(answer)["outputs"]}
    except (ValueError, KeyError, TypeError) as problem:
        raise NotAlike(f"an answer that cannot be read: {problem!r}") from problem


def _held_together(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[float, float, int]]:
    """Of each output how large the numbers are, how far apart (as Euclid has it), and how many. Raises NotAlike."""
    if _forms(before) != _forms(after):
        raise NotAlike(f"it answers {_told(after)}, where the version before answers {_told(before)}")
    found = {}
    for name in before:
        one, other = before[name].get("data"), after[name].get("data")
        try:
            if before[name].get("datatype") == TEXTS:
                one, other = [1.0] * len(one), [float(a == b) for a, b in zip(one, other, strict=True)]  # type: ignore[arg-type]
            found[name] = (math.dist(one, [0.0] * len(one)), math.dist(one, other), len(one))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError) as problem:
            raise NotAlike(f"the data of {name} cannot be compared: {problem}") from problem
    return found


def _forms(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {name: (each.get("datatype"), each.get("shape")) for name, each in outputs.items()}


def _told(outputs: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {each.get('datatype')} {each.get('shape')}" for name, each in sorted(outputs.items()))


def questions_of(lines: Sequence[bytes]) -> list[bytes]:
    """Of a file of samples. Raises NotAlike where there are none, or too many."""
    found = [each for each in lines if each.strip()]
    if not 0 < len(found) <= MOST_QUESTIONS:
        raise NotAlike(f"its samples are {len(found)} requests, where 1 to {MOST_QUESTIONS} are taken")
    return found
