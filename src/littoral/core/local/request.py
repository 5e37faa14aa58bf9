"""A local deployment as it is asked for: CreateLocalDeployment of Greengrass's IPC model. Pure.

It changes what stands: the components of its target (``LOCAL_DEPLOYMENT``, or a thing group) that it does not name
stay. Sources: "Manage local deployments and components" and "Greengrass CLI, deployment" in the AWS IoT Greengrass V2
guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.core.document import Deployment
from littoral.core.recipe import BadComponent
from littoral.core.resolving import UNPINNED
from littoral.protocols.semver import BadVersion, parse

LOCAL = "LOCAL_DEPLOYMENT"
_GROUP = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_PATHS = {"recipeDirectoryPath", "artifactsDirectoryPath"}
_KNOWN = _PATHS | {
    "rootComponentVersionsToAdd",
    "rootComponentsToRemove",
    "componentToConfiguration",
    "componentToRunWithInfo",
    "groupName",
    "failureHandlingPolicy",
}


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """``document`` makes the same again."""

    add: Mapping[str, str]  # name: version
    remove: tuple[str, ...]
    configuration: Mapping[str, Mapping[str, Any]]  # {"merge"?: JSON text, "reset"?: pointers} by component
    run_with: Mapping[str, Mapping[str, Any]]
    group: str
    failure: str

    @property
    def target(self) -> str:
        return f"thinggroup/{self.group}" if self.group else LOCAL

    def deployment(self, identifier: str, standing: Mapping[str, Mapping[str, Any]]) -> Deployment:
        """With what of the target's components stands. Their configurations have been merged already."""
        kept = {"version", "runWith"}
        components = {
            name: {key: value for key, value in each.items() if key in kept}
            for name, each in standing.items()
            if name not in self.remove and each["version"] != UNPINNED
        }
        for name, version in self.add.items():
            components.setdefault(name, {})["version"] = version
        for kind in (self.configuration, {name: {"runWith": each} for name, each in self.run_with.items()}):
            for name, more in kind.items():
                components.setdefault(name, {"version": UNPINNED}).update(more)
        arn = f"local:configuration:{self.target}:{identifier}"
        return Deployment(arn, identifier, components, failure=self.failure, notify=False)


def parse_request(document: Mapping[str, Any]) -> LocalRequest:
    """Raises BadComponent."""
    if unknown := set(document) - _KNOWN:
        raise BadComponent(f"a local deployment has no {', '.join(sorted(unknown))}")
    add = _mapping(document, "rootComponentVersionsToAdd")
    for name, version in add.items():
        try:
            parse(str(version))
        except BadVersion as problem:
            raise BadComponent(f"the version of {name}, {version!r}, is none like 1.0.0") from problem
    remove = document.get("rootComponentsToRemove") or []
    if not isinstance(remove, list) or not all(isinstance(each, str) for each in remove):
        raise BadComponent("rootComponentsToRemove must be a list of names")
    failure = document.get("failureHandlingPolicy") or "ROLLBACK"
    if failure not in ("ROLLBACK", "DO_NOTHING"):
        raise BadComponent("failureHandlingPolicy must be ROLLBACK or DO_NOTHING")
    group = document.get("groupName") or ""
    if not isinstance(group, str):
        raise BadComponent("groupName must be a text")
    updates = _mapping(document, "componentToConfiguration")
    return LocalRequest(
        {name: str(version) for name, version in add.items()},
        tuple(remove),
        {name: _update(name, each) for name, each in updates.items()},
        _mapping(document, "componentToRunWithInfo"),
        "" if group == LOCAL else group.removeprefix("thinggroup/"),
        failure,
    )


def check_group(name: str) -> None:
    """Nothing, or what a thing group may be called. Raises BadComponent."""
    if name and not _GROUP.fullmatch(name):
        raise BadComponent(f"groupName must match {_GROUP.pattern}")


def paths_of(document: Mapping[str, Any]) -> tuple[Path | None, Path | None]:
    """The folders of recipes and of artifacts. Raises BadComponent."""
    found: list[Path | None] = []
    for name in ("recipeDirectoryPath", "artifactsDirectoryPath"):
        text = document.get(name)
        if text is not None and (not isinstance(text, str) or "\0" in text or not Path(text).is_absolute()):
            raise BadComponent(f"{name} must be an absolute path")
        found.append(Path(text) if text else None)
    recipes, artifacts = found
    if artifacts is not None and recipes is None:
        raise BadComponent("artifacts come with their recipes: recipeDirectoryPath is needed")
    return recipes, artifacts


def _update(name: str, value: Any) -> dict[str, Any]:
    """AWS writes MERGE and RESET; a pointer may lack its first slash, as in AWS's own example."""
    if not isinstance(value, dict) or set(value) - {"MERGE", "RESET"}:
        raise BadComponent(f"the configuration update of {name} must have MERGE and RESET, and nothing else")
    merge, reset = value.get("MERGE"), value.get("RESET")
    if merge is not None and not isinstance(merge, dict):
        raise BadComponent(f"MERGE of {name} must be an object")
    if reset is not None and not (isinstance(reset, list) and all(isinstance(each, str) for each in reset)):
        raise BadComponent(f"RESET of {name} must be a list of JSON pointers")
    pointers = [f"/{each.strip('/')}" if each.strip("/") else "" for each in reset or ()]
    return {**({"merge": json.dumps(merge)} if merge else {}), **({"reset": pointers} if pointers else {})}


def _mapping(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name) or {}
    if not isinstance(found, dict):
        raise BadComponent(f"{name} must be an object")
    return found
