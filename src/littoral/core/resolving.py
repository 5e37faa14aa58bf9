"""Which component versions a core is to run: the deployments' own and what those depend on. Pure.

Requirements come from the deployments that target the core (a version is a pin) and from the recipes that were chosen
so far; of each component the newest version is asked for that all of them take. A requirement that comes up later has
the component asked for anew, and its own dependencies with it. What cannot be had together fails the deployment; no
older version of the one is tried to make room for the other, as AWS's core tries none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.core.deploymenterrors import CIRCULAR, NO_VERSION
from littoral.core.nucleus.recipe import dependencies_of
from littoral.core.public import PUBLIC
from littoral.core.recipe import BadComponent
from littoral.protocols.semver import BadVersion, lowest, satisfies

NUCLEUS = "aws.greengrass.Nucleus"  # the core itself: counted where a deployment names it
MOST_ROUNDS = 100
UNPINNED = "*"  # the version of a component that a deployment configures and does not ask for

Requirements = dict[str, str]  # {who asks: the range}


@dataclass(frozen=True, slots=True)
class Chosen:
    version: str
    recipe: Mapping[str, Any]
    arn: str
    local: bool = False  # of this device, not of the place above


class Resolution:
    """``roots`` are, for each target (``thinggroup/ward7``), the versions that its deployment names. ``next`` says
    what is to be asked for; ``take`` the answers; until ``next`` has nothing more."""

    def __init__(self, roots: Mapping[str, Mapping[str, str]]) -> None:
        self._roots = roots
        self._chosen: dict[str, Chosen] = {}
        self._rounds = 0

    def next(self) -> dict[str, Requirements]:
        """Components without a version that suits, and what each must satisfy. Raises BadComponent."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise BadComponent(f"the dependencies of {', '.join(sorted(self.roots))} come to no end", CIRCULAR)
        return {
            name: asked
            for name, asked in self._requirements().items()
            if name not in PUBLIC and not (name in self._chosen and suits(self._chosen[name].version, asked))
        }

    def take(self, found: Mapping[str, Chosen]) -> None:
        self._chosen.update(found)

    @property
    def roots(self) -> set[str]:
        return {name for each in self._roots.values() for name in each}

    @property
    def versions(self) -> dict[str, str]:
        """Of everything that is to run, what others depend on included. Raises BadComponent, also for components that
        need each other."""
        ordered({name: dependencies_of(name, each.recipe) for name, each in self.chosen.items()})
        return {
            name: _of_public(name, asked) if name in PUBLIC else self._chosen[name].version
            for name, asked in self._requirements().items()
        }

    @property
    def chosen(self) -> dict[str, Chosen]:
        return {name: self._chosen[name] for name in self._requirements() if name not in PUBLIC}

    def _requirements(self) -> dict[str, Requirements]:
        """Of all that is reached from the roots by what is chosen now."""
        found: dict[str, Requirements] = {}
        waiting: deque[str] = deque()
        roots = self.roots

        def ask(name: str, who: str, requirement: str) -> None:
            if name == NUCLEUS and name not in roots:
                return
            if name not in found:
                found[name] = {}
                waiting.append(name)
            found[name][who] = requirement

        for target, components in self._roots.items():
            for name, version in components.items():
                ask(name, target, f"={version}")
        while waiting:
            name = waiting.popleft()
            if name in self._chosen:
                hard, soft = dependencies_of(name, self._chosen[name].recipe)
                for other, requirement in (hard | soft).items():
                    ask(other, name, requirement)
        return found


def ordered(needs: Mapping[str, Iterable[Iterable[str]]]) -> list[str]:
    """What others depend on first; of each component the kinds of its dependencies. Raises BadComponent: it depends
    on itself."""
    found: list[str] = []
    begun: set[str] = set()

    def place(name: str) -> None:
        if name in found or name not in needs:
            return
        if name in begun:
            raise BadComponent(f"{name} depends on itself", CIRCULAR)
        begun.add(name)
        for kind in needs[name]:
            for other in kind:
                place(other)
        found.append(name)

    for name in needs:
        place(name)
    return found


def suits(version: str, asked: Requirements) -> bool:
    """Raises BadComponent."""
    try:
        return all(satisfies(version, each) for each in asked.values())
    except BadVersion as problem:
        raise BadComponent(str(problem), "COMPONENT_VERSION_NOT_VALID") from problem


def said(asked: Mapping[str, str]) -> str:
    """For reasons: who asks for what."""
    return ", ".join(f"{requirement} for {who}" for who, requirement in sorted(asked.items()))


def _of_public(name: str, asked: Requirements) -> str:
    """What a core plays by itself is there in the version that is asked for, if that is one version."""
    pins = [each.removeprefix("=") for each in asked.values() if each.startswith("=")]
    try:
        version = pins[0] if pins else lowest(asked.values())
    except BadVersion as problem:
        raise BadComponent(str(problem), "COMPONENT_VERSION_NOT_VALID") from problem
    if version is None or not suits(version, asked):
        raise BadComponent(f"no version of {name} is at once {said(asked)}", *NO_VERSION)
    return version
