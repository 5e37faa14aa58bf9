"""Input against its shape: required members, lengths, ranges, patterns and enums.

A shape that constrains nothing, itself or within, has no checker. Patterns of the models are Java's; one that Python
cannot read is not checked. S3 and CloudFront have no patterns in their models and say more in their own errors; the
capability checks those.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape


MOST = 3  # problems that are told
SHORT = 256  # characters of a text whose verdict is kept
MOST_KEPT = 1024  # verdicts of one shape
ENUMS_OPEN = frozenset(("s3",))  # whose capability says it, each in S3's own error; but
IN_DOCUMENTS = frozenset(  # of S3: these shapes, which are in documents only, and make them malformed
    (
        *("DeleteMarkerReplicationStatus", "EncryptionType", "ExistingObjectReplicationStatus", "MFADelete"),
        *("ObjectLockEventHold", "PartitionDateSource", "Protocol", "ReplicaModificationsStatus"),
        *("ReplicationTimeStatus", "SseKmsEncryptedObjectsStatus", "Tier"),
    )
)


class Problem(NamedTuple):
    path: str
    rule: str
    value: str | None = None  # where it is told

    def __str__(self) -> str:
        told = "" if self.value is None else f" '{self.value}'"
        return f"Value{told} at '{self.path}' failed to satisfy constraint: {self.rule}"

    def inside(self, part: str) -> Problem:
        return self._replace(path=f"{part}.{self.path}" if self.path else part)


Problems = list[Problem]
Checker = Callable[[Any], Problems]  # none where all is good
GOOD: Problems = []


class Checkers:
    """Of one service's shapes."""

    def __init__(self, service: str) -> None:
        self._enums = service not in ENUMS_OPEN
        self._patterns = service != "s3"
        self._structures: dict[str, Checker] = {}

    def of(self, shape: Shape) -> Checker | None:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return _list_checker(_size(shape), self.of(shape.member))
        if kind == "map":
            return _map_checker(_size(shape), self._keys(shape), self.of(shape.value))
        if kind == "string":
            return self._text(shape)
        if kind == "blob":
            return _sized(_size(shape), bytes)
        if kind in {"integer", "long", "float", "double"}:
            return _range_checker(shape.metadata.get("min"), shape.metadata.get("max"))
        return None

    def _structure(self, shape: Shape) -> Checker | None:
        known = self._structures.get(shape.name)
        if known is None:
            members: dict[str, tuple[str, Checker]] = {}
            known = _structure_checker(tuple(shape.required_members), members)
            self._structures[shape.name] = known
            for name, member in shape.members.items():
                checker = self.of(member)
                if checker is not None:
                    members[name] = _camel(name), checker
            if not members and not shape.required_members:
                self._structures[shape.name] = _nothing
        return None if known is _nothing else known

    def _keys(self, shape: Shape) -> Checker | None:
        """Of a map, where not every text may be one: all that its keys must be is told, as AWS does."""
        facts = shape.key.metadata
        one = self._text(shape.key) if facts.keys() & {"enum", "pattern"} else None
        if one is None:
            return None
        rules = [f"have length less than or equal to {facts['max']}"] if "max" in facts else []
        rules += [f"have length greater than or equal to {facts['min']}"] if "min" in facts else []
        rules += [f"satisfy regular expression pattern: {facts['pattern']}"] if "pattern" in facts else []
        rules += [f"satisfy enum value set: [{', '.join(facts['enum'])}]"] if "enum" in facts else []
        rule = f"Map keys must satisfy constraint: [{', '.join(f'Member must {each}' for each in rules)}]"
        secret = facts.get("sensitive") or shape.metadata.get("sensitive")

        def check(value: dict[str, Any]) -> Problems:
            if not any(one(key) for key in value):
                return GOOD
            return [Problem("", rule, None if secret else _shown(value))]

        return check

    def _text(self, shape: Shape) -> Checker | None:
        size = _size(shape)
        closed = self._enums or shape.name in IN_DOCUMENTS
        allowed = tuple(shape.metadata.get("enum", ())) if closed else ()
        pattern = shape.metadata.get("pattern") if self._patterns else None
        if pattern is not None and _compiled(pattern) is None:
            pattern = None
        if not (allowed or pattern):
            return _sized(size, str)
        return _text_checker(size, allowed, pattern)


def _nothing(_: Any) -> Problems:
    return GOOD


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _structure_checker(required: tuple[str, ...], members: dict[str, tuple[str, Checker]]) -> Checker:
    def check(value: dict[str, Any]) -> Problems:
        problems = GOOD
        for name in required:
            if name not in value:
                problems = [*problems, Problem(_camel(name), "Member must not be null")]
        for name, each in value.items():
            if name in members:
                camel, checker = members[name]
                found = checker(each)
                if found:
                    problems = problems + [problem.inside(camel) for problem in found]
        return problems[:MOST] if problems else GOOD

    return check


def _list_checker(size: Checker | None, item: Checker | None) -> Checker | None:
    if item is None:
        return size

    def check(value: list[Any]) -> Problems:
        problems = size(value) if size is not None else GOOD
        for at, each in enumerate(value):
            found = item(each)
            if found:
                problems = problems + [problem.inside(f"{at + 1}.member") for problem in found]
                if len(problems) >= MOST:
                    break
        return problems

    return check


def _map_checker(size: Checker | None, keys: Checker | None, item: Checker | None) -> Checker | None:
    of_values = _values_checker(item) if item is not None else None
    checkers = [each for each in (size, keys, of_values) if each is not None]
    if len(checkers) < 2:
        return checkers[0] if checkers else None
    return lambda value: [problem for check in checkers for problem in check(value)]


def _values_checker(item: Checker) -> Checker:
    def check(value: dict[str, Any]) -> Problems:
        problems = GOOD
        for key, each in value.items():
            found = item(each)
            if found:
                problems = problems + [problem.inside(key) for problem in found]
                if len(problems) >= MOST:
                    break
        return problems

    return check


def _shown(value: dict[str, Any]) -> str:
    """A map as Java shows it, where its values are no structures."""
    return f"{{{', '.join(f'{key}={each}' for key, each in value.items())}}}"[:100]


def _text_checker(size: Checker | None, allowed: tuple[str, ...], pattern: str | None) -> Checker:
    choice = frozenset(allowed)
    good: set[str] = set()  # short texts that were found so

    def check(value: Any) -> Problems:
        if not isinstance(value, str) or value in good:  # or a stream
            return GOOD
        wrong_size = size(value) if size is not None else GOOD
        problems = wrong_size
        if choice and value not in choice:
            problems = [
                *problems,
                Problem("", f"Member must satisfy enum value set: [{', '.join(allowed)}]", value[:100]),
            ]
        # some patterns take long over a text that is too long
        if pattern is not None and not wrong_size and not _fits(pattern, value):
            problems = [
                *problems,
                Problem("", f"Member must satisfy regular expression pattern: {pattern}", value[:100]),
            ]
        if not problems and len(value) <= SHORT:
            if len(good) >= MOST_KEPT:
                good.clear()
            good.add(value)
        return problems

    return check


def _size(shape: Shape) -> Checker | None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return None

    def check(value: Any) -> Problems:
        length = len(value)
        if low is not None and length < low:
            return [Problem("", f"Member must have length greater than or equal to {low}")]
        if high is not None and length > high:
            return [Problem("", f"Member must have length less than or equal to {high}")]
        return GOOD

    return check


def _sized(size: Checker | None, kind: type) -> Checker | None:
    """Bytes and texts may also be streams, whose length is not known here."""
    return size and (lambda value: size(value) if isinstance(value, kind) else GOOD)


def _range_checker(low: float | None, high: float | None) -> Checker | None:
    if low is None and high is None:
        return None

    def check(value: float) -> Problems:
        if low is not None and value < low:
            return [Problem("", f"Member must have value greater than or equal to {low}", str(value))]
        if high is not None and value > high:
            return [Problem("", f"Member must have value less than or equal to {high}", str(value))]
        return GOOD

    return check


def _fits(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The services match the whole value; most patterns say so themselves, some rely on it."""
    try:
        return re.compile(rf"\A(?:{pattern.removeprefix('^').removesuffix('$')})\Z")
    except re.error:
        return None
