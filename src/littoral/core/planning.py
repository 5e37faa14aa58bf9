"""What is active on a core, and what it comes to: functions, programs and AWS's components to run. Pure.

``Active`` is kept as one document: the deployment of each target (the thing, its groups), the versions that they
resolve to together, and their recipes. It is written when all of it runs, in one step.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from littoral.core.bridge import BRIDGE, TopicMapping, mappings
from littoral.core.configuration import Path, Update, pointed
from littoral.core.deploymenterrors import CONFIGURATION as CONFIGURATION_NOT_VALID
from littoral.core.deploymenterrors import RECIPE, coded
from littoral.core.document import Deployment
from littoral.core.modelserver import settings as modelserver
from littoral.core.nucleus.nucleus import Wanted
from littoral.core.nucleus.recipe import filled_in, generic_of
from littoral.core.nucleusparts import NAME as NUCLEUS
from littoral.core.nucleusparts import interpolates, platform_override, run_with_default
from littoral.core.public import PUBLIC
from littoral.core.recipe import LAMBDA, LambdaComponent, component_of, merged, parse_merge
from littoral.core.resolving import Resolution

Variable = Callable[[str, str, str], str | None]
CONFIGURATION = "ComponentConfiguration"
AWS_NAMES = {"x86_64": "amd64", "i386": "x86", "i686": "x86", "armv7l": "arm", "armv6l": "arm"}
PLATFORM = {
    "os": platform.system().lower(),
    "architecture": AWS_NAMES.get(platform.machine(), platform.machine()),
    "architecture.detail": platform.machine(),
}


@dataclass(frozen=True, slots=True)
class Active:
    """``targets``: {target: {"arn", "order", "at", "components", "wrong"?}}; ``order`` tells the order that it came by,
    ``wrong`` why it has failed and stands all the same."""

    arn: str = ""  # of the last
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """name -> {"version", "root", "arn", "local"}; ``local``: its recipe came with a local deployment."""
    recipes: Mapping[str, Any] = field(default_factory=dict)
    merged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What deployments have set of functions and AWS's components, over all revisions; programs' is the nucleus's."""

    @property
    def platform(self) -> dict[str, str]:
        """This device's attributes, with what aws.greengrass.Nucleus says of them (``platformOverride``)."""
        return PLATFORM | platform_override(self.merged.get(NUCLEUS, {}))

    @property
    def interpolates(self) -> bool:
        return interpolates(self.merged.get(NUCLEUS, {}))

    def filling(self, name: str, variable: Variable) -> Callable[[Any], Any]:
        """Fills in what a function's or an AWS component's configuration names; of a program the nucleus does it."""
        if not self.interpolates:
            return lambda value: value

        def known(other: str, kind: str, key: str) -> str | None:
            return variable(name, kind, key) if other in ("", name) else None

        return lambda value: filled_in(value, known)

    @classmethod
    def of_document(cls, document: Mapping[str, Any] | None) -> Active:
        """Of one that an earlier version of Littoral kept, too: it knew one deployment only."""
        if document is None:
            return cls()
        if "targets" in document:
            made = cls(**document)
            return made if "merged" in document else replace(made, merged=made._of_targets())
        components = document["components"]
        only = {"arn": document["arn"], "order": "", "at": document.get("at", 0.0), "components": components}
        target = Deployment(document["arn"], "", {}).target
        shown = {name: {"version": each["version"], "root": True} for name, each in components.items()}
        made = cls(document["arn"], {target: only}, shown, document["recipes"])
        return replace(made, merged=made._of_targets())

    def _of_targets(self) -> dict[str, Mapping[str, Any]]:
        """What the revisions that count have set, where earlier ones are not known."""
        found: dict[str, Mapping[str, Any]] = {}
        for name in self.components:
            for update in self.updates(name):
                found[name] = _with(found.get(name, {}), update)
        return found

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def targets_with(self, wanted: Deployment, order: str, groups: Iterable[str], now: float) -> dict[str, Any]:
        """The deployments that count when this one is taken: those of groups that the core has left do not."""
        staying = {f"thinggroup/{each}" for each in groups}
        kept = {
            target: each
            for target, each in self.targets.items()
            if target in staying or not target.startswith("thinggroup/")
        }
        components = {name: dict(each) for name, each in wanted.components.items()}
        return {**kept, wanted.target: {"arn": wanted.arn, "order": order, "at": now, "components": components}}

    def noted(self, target: str, wrong: str) -> Active:
        """What was wrong with it, "" for nothing, so that it is told after a crash, too."""
        return replace(self, targets={**self.targets, target: {**self.targets[target], "wrong": wrong}})

    def merging(self, wanted: Deployment) -> Active:
        """With what it sets. Raises BadComponent."""
        merged = dict(self.merged)
        for name, given in wanted.components.items():
            merged[name] = _with(merged.get(name, {}), _update(given, 0.0))
        return replace(self, merged=merged)

    def resolved(self, arn: str, targets: Mapping[str, Any], resolution: Resolution) -> Active:
        """Raises BadComponent."""
        roots, chosen = resolution.roots, resolution.chosen
        components: dict[str, dict[str, Any]] = {}
        for name, version in resolution.versions.items():
            of = {"arn": chosen[name].arn, "local": chosen[name].local} if name in chosen else {}
            components[name] = {"version": version, "root": name in roots, **of}
        recipes = {name: each.recipe for name, each in chosen.items()}
        merged = {name: each for name, each in self.merged.items() if each and name in components}
        return replace(self, arn=arn, targets=targets, components=components, recipes=recipes, merged=merged)

    def updates(self, name: str) -> list[Update]:
        """Of a component's configuration, in the order in which they came. Raises BadComponent."""
        found = [
            _update(given, one["at"])
            for one in self.targets.values()
            if (given := one["components"].get(name)) is not None
        ]
        return sorted(found, key=lambda update: update.at)

    def arns(self) -> dict[str, list[str]]:
        """Of each component the deployments that name it, or one that needs it; all of them where that is not known."""
        found: dict[str, list[str]] = {name: [] for name in self.components}
        every = [one["arn"] for one in self.targets.values()]
        for one in self.targets.values():
            reached, ahead = set(), [each for each in one["components"] if each in self.components]
            while ahead:
                name = ahead.pop()
                reached.add(name)
                needs = (self.recipes.get(name) or {}).get("ComponentDependencies") or {}
                ahead += [each for each in needs if each in self.components and each not in reached]
            for name in reached:
                found[name].append(one["arn"])
        return {name: arns or every for name, arns in found.items()}

    @property
    def run_with_default(self) -> Mapping[str, Any]:
        """As whom and within what limits programs run of which nothing is said. Raises BadComponent."""
        return run_with_default(self.merged.get(NUCLEUS, {}))

    def run_with(self, name: str) -> Mapping[str, Any]:
        """As whom and within what limits: of the latest deployment that says so."""
        found: Mapping[str, Any] = {}
        for one in sorted(self.targets.values(), key=lambda each: float(each["at"])):
            found = (one["components"].get(name) or {}).get("runWith") or found
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``Active`` comes to."""

    lambdas: tuple[LambdaComponent, ...]
    programs: tuple[Wanted, ...]
    public: Mapping[str, Mapping[str, Any]]  # AWS's components with their configuration
    interpolates: bool = False  # programs' configurations

    @property
    def bridges(self) -> tuple[TopicMapping, ...]:
        return mappings(self.public.get(BRIDGE, {}))

    @property
    def names(self) -> set[str]:
        """Of what has a configuration of its own: programs and functions."""
        return {each.made.name for each in self.programs} | {each.name for each in self.lambdas}


def plan_of(active: Active, variable: Variable) -> Plan:
    """``variable`` gives what a component's configuration may name, where the deployment says that it may (component,
    kind, key). Raises BadComponent."""
    lambdas: list[LambdaComponent] = []
    programs: list[Wanted] = []
    public: dict[str, Mapping[str, Any]] = {}
    platform = active.platform
    for name in active.components:
        fill = active.filling(name, variable)
        merge = json.dumps(fill(active.merged[name])) if name in active.merged else None
        if name in PUBLIC:
            with coded(CONFIGURATION_NOT_VALID):
                public[name] = PUBLIC[name].configured(merge)
        elif (recipe := active.recipes[name]).get("ComponentType") == LAMBDA:
            made_of = {**recipe, CONFIGURATION: fill(recipe.get(CONFIGURATION))}
            with coded(RECIPE):
                lambdas.append(component_of(made_of, merge, tuple(active.updates(name))))
        else:
            with coded(RECIPE):
                made = generic_of(recipe, platform)
            run_with = {**active.run_with_default, **active.run_with(name)}
            programs.append(Wanted(made, tuple(active.updates(name)), run_with))
    if (models := public.get(modelserver.NAME)) is not None:
        with coded(CONFIGURATION_NOT_VALID):
            public[modelserver.NAME] = modelserver.placed(models, (each.made for each in programs))
    return Plan(tuple(lambdas), tuple(programs), public, active.interpolates)


def _update(given: Mapping[str, Any], at: float) -> Update:
    """Raises BadComponent."""
    return Update(tuple(pointed(each) for each in given.get("reset") or ()), parse_merge(given.get("merge")), at)


def _with(whole: Mapping[str, Any], update: Update) -> dict[str, Any]:
    """Updates as one merge into the defaults: what is reset is left to these."""
    for pointer in update.reset:
        whole = _without(whole, pointer)
    return merged(whole, update.merge)


def _without(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if not path:
        return {}
    name, *rest = path
    found = dict(value)
    if rest and isinstance(found.get(name), dict):
        found[name] = _without(found[name], tuple(rest))
    elif not rest:
        found.pop(name, None)
    return found
