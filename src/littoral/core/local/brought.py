"""Recipes and artifacts that come with a local deployment: copied into a folder of its own, and read from there.

::

    FOLDER/recipes/NAME-VERSION.json      with the artifacts' digests noted
    FOLDER/artifacts/NAME/VERSION/…       whole folders, as they were

An artifact is found by its file name, whatever its URI says; a file that no recipe lists is an artifact all the same,
as with AWS's nucleus. Links are refused: the core may read more than whoever asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from littoral.core.deploymenterrors import MISMATCH, UNREAD
from littoral.core.nucleus.recipe import GENERIC, LOCAL_SCHEME, written
from littoral.core.recipe import OWN, BadComponent, is_aws
from littoral.core.recipetext import read
from littoral.core.resolving import Chosen, Requirements, suits
from littoral.core.source import MOST_DOWNLOADED, Declined
from littoral.protocols.semver import BadVersion, parse
from littoral.store.contract import StorageFailed
from littoral.store.durable import fsync_tree

MOST_FILES = 10_000
MOST_RECIPE = 1024 * 1024  # bytes
SUFFIXES = (".json", ".yaml", ".yml")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class BadRecipes(BadComponent):
    """What the recipe folder holds."""


class BadArtifacts(BadComponent):
    """What the artifact folder holds."""


@dataclass(frozen=True, slots=True)
class Brought:
    """``folder`` is None where nothing came with it."""

    folder: Path | None = None
    recipes: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)  # name -> version -> recipe

    @classmethod
    def of(cls, folder: Path) -> Brought:
        """Of what ``take`` left. Raises StorageFailed."""
        found: dict[str, dict[str, Any]] = {}
        try:
            for file in (folder / "recipes").glob("*.json"):
                recipe = json.loads(file.read_bytes())
                found.setdefault(recipe["ComponentName"], {})[recipe["ComponentVersion"]] = recipe
        except (OSError, ValueError, KeyError) as problem:
            raise StorageFailed(f"what came with the local deployment in {folder}: {problem!r}") from problem
        return cls(folder, found)

    def chosen(self, name: str, asked: Requirements) -> Chosen | None:
        """The newest that suits. Raises BadComponent."""
        fitting = [version for version in self.recipes.get(name, {}) if suits(version, asked)]
        if not fitting:
            return None
        newest = max(fitting, key=parse)
        return Chosen(newest, self.recipes[name][newest], f"{name}/{newest}", local=True)

    async def download(
        self, arn: str, name: str, sha256: str, into: Path, like: Sequence[Path] = (), *, own: bool = False
    ) -> None:
        """One file of ``NAME/VERSION/…``, as ``Source.download`` gives one. Raises Declined, StorageFailed."""
        if self.folder is None or own or not name.startswith("/"):
            raise Declined(f"the artifact {name} is not in the artifact folder of the local deployment", *UNREAD)
        try:
            shutil.copyfile(self.folder / "artifacts" / arn / name[1:], into)
            with into.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StorageFailed(f"the artifact {name}: {problem}") from problem
        if digest != sha256:
            raise Declined(f"the artifact {name} has changed since the local deployment was made", MISMATCH)


def take(recipes: Path, artifacts: Path | None, into: Path) -> None:
    """Durable on return; ``into`` is made. Raises BadRecipes, BadArtifacts, OSError."""
    (into / "recipes").mkdir(parents=True, mode=0o700)
    files = sorted(each for each in _listed(recipes, BadRecipes) if each.suffix.lower() in SUFFIXES)
    if not files:
        raise BadRecipes(f"{recipes} holds no recipe: {', '.join(SUFFIXES)}")
    left = MOST_DOWNLOADED
    for file in files:
        recipe = _recipe(file)
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        own = artifacts / name / version if artifacts is not None else None
        found: dict[str, Mapping[str, Any]] = {}
        if own is not None and own.is_dir():
            found, left = _copied(own, into / "artifacts" / name / version, left)
        place = into / "recipes" / f"{name}-{version}.json"
        if place.exists():
            raise BadRecipes(f"{recipes} holds two recipes of {name} {version}")
        place.write_text(json.dumps(_with_artifacts(recipe, found)))
    fsync_tree(into)


def _recipe(file: Path) -> dict[str, Any]:
    """Of which name and version are as they must be; the rest is looked at when it is deployed. Raises BadRecipes."""
    if file.is_symlink() or file.stat().st_size > MOST_RECIPE:
        raise BadRecipes(f"{file.name} is a link, or has more than {MOST_RECIPE} bytes")
    try:
        found = read(file.read_bytes())
    except ValueError as problem:
        raise BadRecipes(f"{file.name} is neither JSON nor YAML: {problem}") from problem
    if not isinstance(found, dict) or found.get("ComponentType", GENERIC) != GENERIC:
        raise BadRecipes(f"{file.name} must be an object, of ComponentType {GENERIC}")
    name, version = found.get("ComponentName"), found.get("ComponentVersion")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise BadRecipes(f"{file.name}: ComponentName must match {_NAME.pattern}")
    if is_aws(name) or name.startswith(OWN):
        raise BadRecipes(f"{file.name}: ComponentName must not begin with aws. or {OWN}")
    try:
        parse(version if isinstance(version, str) else "")
    except BadVersion as problem:
        raise BadRecipes(f"{file.name}: ComponentVersion must be a text like 1.0.0") from problem
    return found


def _copied(folder: Path, into: Path, left: int) -> tuple[dict[str, Mapping[str, Any]], int]:
    """Digest (base64) and Permission of each file, by its path in the folder; and how many bytes may come yet."""
    found: dict[str, Mapping[str, Any]] = {}
    for place, folders, names in os.walk(folder):
        for each in (*folders, *names):
            if (Path(place) / each).is_symlink():
                raise BadArtifacts(f"{Path(place) / each} is a link")
        target = into / Path(place).relative_to(folder)
        target.mkdir(parents=True, mode=0o700, exist_ok=True)
        for each in names:
            file = Path(place) / each
            left -= file.stat().st_size
            if left < 0 or len(found) >= MOST_FILES:
                raise BadArtifacts(f"{folder}: more than {MOST_FILES} files or {MOST_DOWNLOADED} bytes")
            shutil.copyfile(file, target / each, follow_symlinks=False)
            with (target / each).open("rb") as copied:
                digest = base64.b64encode(hashlib.file_digest(copied, "sha256").digest()).decode()
            runs = "OWNER" if file.stat().st_mode & 0o100 else "NONE"
            found[file.relative_to(folder).as_posix()] = {"Digest": digest, "Permission": {"Execute": runs}}
    return found, left


def _with_artifacts(recipe: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Each manifest lists all that is there; what its recipe says of a file holds."""
    manifests = recipe.get("Manifests") or [{}]
    return {**recipe, "Manifests": [_filled(each, found) if isinstance(each, dict) else each for each in manifests]}


def _filled(manifest: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    given = manifest.get("Artifacts") or []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        return dict(manifest)  # refused when it is deployed
    listed: list[Any] = []
    left = dict(found)
    for each in given:
        said = written(each)
        file = PurePosixPath(str(said.get("uri"))).name
        if file not in left:
            listed.append(each)
            continue
        kept = {key: value for key, value in said.items() if key not in ("uri", "digest", "algorithm")}
        kept.setdefault("permission", left[file]["Permission"])
        listed.append({**kept, "uri": LOCAL_SCHEME + file, "digest": left.pop(file)["Digest"]})
    listed += [{**each, "uri": LOCAL_SCHEME + file} for file, each in left.items()]
    return {**manifest, "Artifacts": listed}


def _listed(folder: Path, problem: type[BadComponent]) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as missing:
        raise problem(f"{folder} cannot be read: {missing}") from missing
