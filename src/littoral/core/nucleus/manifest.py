"""Which manifest of a recipe is for a device, and which lifecycle goes with it. Pure.

A manifest is for a platform whose attributes suit: an exact value, ``*`` (any, or none), or ``/regular expression/``.
Where it has no lifecycle, the sections of the global one count that its selection keys name, at any level.
Source: "AWS IoT Greengrass component recipe reference", Platform and Selections.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from littoral.core.recipe import BadComponent

ANY = "*"
EVERYWHERE: Mapping[str, str] = {ANY: ANY}
"""The attributes of a device of which nothing is known: it may have any."""


def manifest_of(name: str, manifests: Any, platform: Mapping[str, str]) -> Mapping[str, Any]:
    """The first that suits. Raises BadComponent."""
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise BadComponent(f"{name}: Manifests must be a list of objects")
    for manifest in manifests:
        wanted = manifest.get("Platform") or {}
        if not isinstance(wanted, dict):
            raise BadComponent(f"{name}: Platform must be an object")
        if all(_suits(name, each, platform.get(key, platform.get(ANY))) for key, each in wanted.items()):
            return dict(manifest)
    if manifests:
        on = ", ".join(f"{key} {each}" for key, each in platform.items() if key != ANY)
        raise BadComponent(f"{name}: no manifest is for {on}")
    return {}


def lifecycle_of(recipe: Mapping[str, Any], manifest: Mapping[str, Any]) -> Any:
    if manifest.get("Lifecycle"):
        return manifest["Lifecycle"]
    keys = {str(key) for each in recipe.get("Manifests") or () for key in each.get("Selections") or ()} | {"all"}
    return _selected(recipe.get("Lifecycle") or {}, [*(manifest.get("Selections") or ("all",))], keys)


def _suits(name: str, wanted: Any, actual: str | None) -> bool:
    if wanted in (ANY, "all", None) or actual == ANY:
        return True
    if not isinstance(wanted, str):
        raise BadComponent(f"{name}: the attributes of a Platform must be texts")
    if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
        try:
            return re.fullmatch(wanted[1:-1], actual or "") is not None
        except re.error as problem:
            raise BadComponent(f"{name}: {wanted} is no regular expression: {problem}") from problem
    return wanted == actual


def _selected(section: Any, wanted: Sequence[str], keys: Collection[str]) -> Any:
    """The section of the first key that is there, else all that is under no key."""
    if not isinstance(section, dict):
        return section
    for key in wanted:
        if key in section:
            return _selected(section[key], wanted, keys)
    found = {}
    for key, each in section.items():
        kept = each if key.lower() == "setenv" else _selected(each, wanted, keys)
        if key not in keys and (kept != {} or each == {}):  # not what is for other keys alone
            found[key] = kept
    return found
