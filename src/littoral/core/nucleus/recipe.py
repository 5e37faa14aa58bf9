"""A component of type ``aws.greengrass.generic``: what its recipe says for this platform. Pure.

Source: "AWS IoT Greengrass component recipe reference" (recipe format 2020-01-25). What a recipe asks for and a core
does not do is refused here, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from littoral.core.recipe import BadComponent

GENERIC = "aws.greengrass.generic"
# Their time limits, in seconds.
STEPS: Mapping[str, float | None] = {"install": 120.0, "startup": 120.0, "run": None, "shutdown": 15.0, "recover": 60.0}
_KNOWN_OF_STEP = {"Script", "Setenv", "Timeout", "Skipif", "RequiresPrivilege"}
_VARIABLE = re.compile(r"\{((?:[A-Za-z0-9._-]+:)?(?:configuration|artifacts|work|iot|kernel):[^{}\s]*)\}")


@dataclass(frozen=True, slots=True)
class Step:
    script: str
    timeout: float | None
    environment: Mapping[str, str] = field(default_factory=dict)
    skip_if: str | None = None  # "onpath PROGRAM" or "exists FILE"


@dataclass(frozen=True, slots=True)
class Artifact:
    uri: str
    sha256: str  # base64
    unpack: bool


@dataclass(frozen=True, slots=True)
class Generic:
    name: str
    version: str
    steps: Mapping[str, Step]
    defaults: Mapping[str, Any]  # of its configuration
    hard: Mapping[str, str]  # dependencies that must run before it: name, version requirement
    soft: Mapping[str, str]  # dependencies that are started before it, and may fail
    artifacts: tuple[Artifact, ...] = ()


def generic_of(recipe: Mapping[str, Any], os: str, architecture: str) -> Generic:
    """What to run on that platform (``*`` is any). Raises BadComponent."""
    try:
        name, version = str(recipe["ComponentName"]), str(recipe["ComponentVersion"])
        if recipe["RecipeFormatVersion"] != "2020-01-25":
            raise BadComponent(f"{name}: RecipeFormatVersion must be 2020-01-25")
        manifest = _manifest(name, recipe.get("Manifests") or [], os, architecture)
        lifecycle = _mapping(name, "Lifecycle", manifest.get("Lifecycle") or recipe.get("Lifecycle") or {})
        configuration = _mapping(name, "ComponentConfiguration", recipe.get("ComponentConfiguration") or {})
        defaults = _mapping(name, "DefaultConfiguration", configuration.get("DefaultConfiguration") or {})
        hard, soft = _dependencies(name, recipe.get("ComponentDependencies") or {})
        artifacts = tuple(_artifact(name, each) for each in manifest.get("Artifacts") or ())
    except KeyError as missing:
        raise BadComponent(f"the recipe lacks {missing}") from missing
    return Generic(name, version, _steps(name, lifecycle), defaults, hard, soft, artifacts)


def filled(text: str, value: Callable[[str, str, str], str | None]) -> str:
    """Recipe variables replaced. ``value`` takes component (empty: the own), kind (``configuration``, ``artifacts`` …)
    and key; one that it does not know stays as it is, as with AWS."""

    def replaced(found: re.Match[str]) -> str:
        *component, kind, key = found[1].split(":", 2) if found[1].count(":") > 1 else found[1].split(":")
        known = value(component[0] if component else "", kind, key)
        return found[0] if known is None else known

    return _VARIABLE.sub(replaced, text)


def _manifest(name: str, manifests: Any, os: str, architecture: str) -> Mapping[str, Any]:
    """The first that suits."""
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise BadComponent(f"{name}: Manifests must be a list of objects")
    for manifest in manifests:
        platform = _mapping(name, "Platform", manifest.get("Platform") or {})
        if all(
            wanted in (None, "*", "all", actual) or actual == "*"
            for wanted, actual in ((platform.get("os"), os), (platform.get("architecture"), architecture))
        ):
            return dict(manifest)
    if manifests:
        raise BadComponent(f"{name}: no manifest is for {os} on {architecture}")
    return {}


def _steps(name: str, lifecycle: Mapping[str, Any]) -> dict[str, Step]:
    common = _environment(name, lifecycle.get("Setenv") or lifecycle.get("setenv") or {})
    steps: dict[str, Step] = {}
    for key, value in lifecycle.items():
        kind = key.lower()
        if kind == "setenv":
            continue
        if kind not in STEPS:
            raise BadComponent(f"{name}: the lifecycle step {key} is not run by Littoral's cores")
        written = {"Script": value} if isinstance(value, str) else _mapping(name, key, value)
        unknown = set(written) - _KNOWN_OF_STEP
        if unknown or not isinstance(written.get("Script"), str):
            raise BadComponent(
                f"{name}: {key} must have a Script, and no {', '.join(sorted(unknown)) or 'other value'}"
            )
        if written.get("RequiresPrivilege") in (True, "true"):
            raise BadComponent(f"{name}: {key} requires privilege, which Littoral's cores give to no component")
        timeout = written.get("Timeout", STEPS[kind])
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0):
            raise BadComponent(f"{name}: Timeout of {key} must be a number of seconds")
        own = {**common, **_environment(name, written.get("Setenv") or {})}
        steps[kind] = Step(written["Script"], timeout, own, written.get("Skipif"))
    if "startup" in steps and "run" in steps:
        raise BadComponent(f"{name}: a component has startup or run, not both")
    return steps


def _environment(name: str, value: Any) -> dict[str, str]:
    found = _mapping(name, "Setenv", value)
    if not all(isinstance(each, (str, int, float)) for each in found.values()):
        raise BadComponent(f"{name}: Setenv must be texts by name")
    return {key: str(each) for key, each in found.items()}


def _dependencies(name: str, value: Any) -> tuple[dict[str, str], dict[str, str]]:
    hard: dict[str, str] = {}
    soft: dict[str, str] = {}
    for other, each in _mapping(name, "ComponentDependencies", value).items():
        described = _mapping(name, other, each)
        kind = described.get("DependencyType", "HARD")
        if kind not in ("HARD", "SOFT"):
            raise BadComponent(f"{name}: DependencyType of {other} must be HARD or SOFT")
        (hard if kind == "HARD" else soft)[other] = str(described.get("VersionRequirement", "*"))
    return hard, soft


def _artifact(name: str, value: Any) -> Artifact:
    written = {key.lower(): each for key, each in _mapping(name, "Artifacts", value).items()}
    unpack = written.get("unarchive", "NONE")
    if not isinstance(written.get("uri"), str) or unpack not in ("NONE", "ZIP"):
        raise BadComponent(f"{name}: an artifact has a Uri, and Unarchive is NONE or ZIP")
    if written.get("algorithm", "SHA-256") != "SHA-256":
        raise BadComponent(f"{name}: the digest of an artifact is SHA-256")
    return Artifact(written["uri"], str(written.get("digest", "")), unpack == "ZIP")


def _mapping(name: str, what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadComponent(f"{name}: {what} must be an object")
    return value
