"""SecLang read into rules: the subset that the OWASP Core Rule Set uses.

Owns: the text. Directives that are known: SecRule, SecAction, SecMarker, SecRuleUpdateTargetById; SecDefaultAction and
SecComponentSignature are passed over. Anything else raises Unreadable: a rule set is read whole or not at all.
Source: the ModSecurity reference manual (v2.x and v3.x).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

PASSED_OVER = frozenset(("SecDefaultAction", "SecComponentSignature", "SecCollectionTimeout", "SecTmpDir"))


class Unreadable(ValueError):
    """What stands there is not in the subset."""


@dataclass(frozen=True, slots=True)
class Target:
    """``REQUEST_HEADERS:User-Agent``, ``&ARGS``, ``!REQUEST_COOKIES:/__utm/``."""

    collection: str
    selector: str | None = None
    pattern: re.Pattern[str] | None = None  # the selector, where it is an expression
    counted: bool = False
    excluded: bool = False

    def takes(self, name: str) -> bool:
        """Whether a member of the collection is meant."""
        if self.pattern is not None:
            return self.pattern.search(name) is not None
        return self.selector is None or self.selector == name.lower()


@dataclass(frozen=True, slots=True)
class Condition:
    """One link of a chain."""

    targets: tuple[Target, ...]
    operator: str
    argument: str
    negated: bool
    transformations: tuple[str, ...]
    multi_match: bool = False
    capture: bool = False
    setvars: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    id: int
    phase: int
    conditions: tuple[Condition, ...]
    tags: frozenset[str]
    message: str = ""
    skip_after: str | None = None
    denies: bool = False
    open: bool = False  # while it is read: its chain goes on


@dataclass(frozen=True, slots=True)
class Marker:
    name: str


@dataclass(slots=True)
class Actions:
    """The third part of a rule."""

    single: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    transformations: list[str] = field(default_factory=list)
    setvars: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)


def read(texts: Mapping[str, str]) -> list[Rule | Marker]:
    """The ``.conf`` texts in the order of their names. Raises Unreadable."""
    found: list[Rule | Marker] = []
    updates: list[tuple[int, tuple[Target, ...]]] = []
    for name in texts:
        for line in _directives(texts[name]):
            try:
                _directive(line, found, updates)
            except Unreadable:
                raise
            except (IndexError, ValueError, re.error) as problem:  # words that are missing, numbers, selectors
                raise Unreadable(f"{line[:200]}: {problem}") from problem
    for identifier, targets in updates:
        found = [_updated(each, identifier, targets) for each in found]
    return [_closed(each) for each in found]


def _directives(text: str) -> Iterator[str]:
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    for line in joined.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _directive(line: str, found: list[Rule | Marker], updates: list[tuple[int, tuple[Target, ...]]]) -> None:
    words = _words(line)
    name = words[0]
    if name == "SecMarker":
        found.append(Marker(words[1]))
    elif name == "SecAction":
        _add(found, _condition(None, "@unconditionalMatch", words[1]), words[1])
    elif name == "SecRule":
        actions = words[3] if len(words) > 3 else ""
        _add(found, _condition(words[1], words[2], actions), actions)
    elif name == "SecRuleUpdateTargetById":
        updates.append((int(words[1]), _targets(words[2])))
    elif name not in PASSED_OVER:
        raise Unreadable(f"the directive {name}")


def _words(line: str) -> list[str]:
    """Split at white space outside quotes; within them a backslash frees a quote."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    return [quoted.replace('\\"', '"') if quoted or not plain else plain for quoted, plain in found]


def _add(found: list[Rule | Marker], condition: Condition, actions: str) -> None:
    """A rule of its own, or the next link of the one before."""
    last = found[-1] if found else None
    made = _actions(actions)
    chained = "chain" in made.single
    if isinstance(last, Rule) and last.open:
        found[-1] = replace(last, conditions=(*last.conditions, condition), open=chained)
        return
    if "id" not in made.single:
        raise Unreadable(f"a rule without an id: {actions[:80]}")
    rule = Rule(
        int(made.single["id"]),
        int(made.single.get("phase", "2")),
        (condition,),
        frozenset(made.tags),
        made.single.get("msg", ""),
        made.single.get("skipAfter"),
        "deny" in made.single,
        chained,
    )
    found.append(rule)


def _closed(each: Rule | Marker) -> Rule | Marker:
    if isinstance(each, Rule) and each.open:
        raise Unreadable(f"the chain of rule {each.id} has no end")
    return each


def _updated(each: Rule | Marker, identifier: int, targets: tuple[Target, ...]) -> Rule | Marker:
    if not isinstance(each, Rule) or each.id != identifier:
        return each
    first = each.conditions[0]
    return replace(each, conditions=(replace(first, targets=first.targets + targets), *each.conditions[1:]))


def _actions(text: str) -> Actions:
    made = Actions()
    for part in _split(text):
        name, _, value = part.partition(":")
        name, value = name.strip(), value.strip().strip("'")
        if name == "t":
            made.transformations = [] if value == "none" else [*made.transformations, value]
        elif name == "tag":
            made.tags.append(value)
        elif name == "setvar":
            made.setvars.append(value)
        elif name == "ctl":
            if value.startswith("ruleRemoveById="):
                int(value.partition("=")[2])  # ranges are not in the subset
            made.controls.append(value)
        elif name:
            made.single[name] = value
    return made


def _split(text: str) -> Iterator[str]:
    """At commas outside single quotes."""
    start, quoted = 0, False
    for at, char in enumerate(text):
        if char == "'" and (at == 0 or text[at - 1] != "\\"):
            quoted = not quoted
        elif char == "," and not quoted:
            yield text[start:at]
            start = at + 1
    yield text[start:]


def _condition(targets: str | None, operator: str, actions: str) -> Condition:
    made = _actions(actions)
    negated = operator.startswith("!")
    body = operator[1:] if negated else operator
    name, argument = "rx", body
    if body.startswith("@"):
        name, _, argument = body[1:].partition(" ")
    return Condition(
        _targets(targets) if targets is not None else (),
        name,
        argument.strip() if name != "rx" else argument,
        negated,
        tuple(made.transformations),
        "multiMatch" in made.single,
        "capture" in made.single,
        tuple(made.setvars),
        tuple(made.controls),
    )


def _targets(text: str) -> tuple[Target, ...]:
    found: list[str] = []
    depth = False
    for part in text.split("|"):
        if depth:
            found[-1] += "|" + part
        else:
            found.append(part)
        opened = found[-1].partition(":")[2].strip("'")
        depth = opened.startswith("/") and not (len(opened) > 1 and opened.endswith("/")) and "XML" not in found[-1]
    return tuple(_target(part.strip()) for part in found)


def _target(text: str) -> Target:
    excluded, counted = text.startswith("!"), text.startswith("&")
    name, _, selector = text.lstrip("!&").partition(":")
    selector = selector.strip("'")
    name = name.upper()
    if not selector:
        return Target(name, counted=counted, excluded=excluded)
    if name != "XML" and selector.startswith("/") and selector.endswith("/"):
        return Target(name, selector, re.compile(selector[1:-1], re.IGNORECASE), counted, excluded)
    return Target(name, selector.lower(), None, counted, excluded)
