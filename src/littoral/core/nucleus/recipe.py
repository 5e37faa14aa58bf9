"""A component of type ``aws.greengrass.generic``: what its recipe says for this platform. Pure.

Source: "AWS IoT Greengrass component recipe reference" (recipe format 2020-01-25). What a recipe asks for and a core
does not do is refused here, never passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from littoral.core.nucleus.manifest import lifecycle_of, manifest_of
from littoral.core.recipe import BadComponent
from littoral.protocols.semver import BadVersion, ranges

GENERIC = "aws.greengrass.generic"
# Their time limits, in seconds.
STEPS: Mapping[str, float | None] = {
    "bootstrap": 120.0,
    "install": 120.0,
    "startup": 120.0,
    "run": None,
    "shutdown": 15.0,
    "recover": 60.0,
}
_KNOWN_OF_STEP = {"script", "setenv", "timeout", "skipif", "requiresprivilege"}
_SKIP_IF = re.compile(r"(?:onpath|exists) +\S.*")
LOCAL_SCHEME = "file:"  # of an artifact that came with a local deployment: its place in that one's folder
REGISTRY_SCHEME = "registry:"  # nobody's, but what one writes for a model of the registry
OWN_SCHEME = "greengrass:"  # of one that AWS's Greengrass keeps, by the name that comes after
_OBJECT = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.{1,1024})")
_VARIABLE = re.compile(r"\{((?:[A-Za-z0-9._-]+:)?(?:configuration|artifacts|work|iot|kernel):[^{}\s]*)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """Of its texts the variables are not filled in yet."""

    script: str
    timeout: float | str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    skip_if: str | None = None  # "onpath PROGRAM" or "exists FILE"
    privileged: str = "false"  # or true


@dataclass(frozen=True, slots=True)
class Artifact:
    """An object in a bucket of the place above, or (``bucket`` is empty) a file of a local deployment, or what AWS's
    Greengrass itself keeps (``own``): its public components have such. ``mode`` is what its Permission comes to, for
    files."""

    bucket: str
    key: str
    sha256: str  # base64; empty before the region has filled it in
    unpack: bool
    mode: int
    own: bool = field(default=False, repr=False)  # ``Generic.home`` is made of what is shown

    @property
    def name(self) -> str:
        """Of GetComponentVersionArtifact: the URI after its scheme."""
        return self.key if self.own else f"{self.bucket}/{self.key}"

    @property
    def file(self) -> str:
        """Its place below ``{artifacts:path}``."""
        return PurePosixPath(self.key).name if self.bucket or self.own else self.key

    @property
    def stem(self) -> str:
        """The folder that it is unpacked to."""
        return PurePosixPath(self.key).stem


@dataclass(frozen=True, slots=True)
class Generic:
    name: str
    version: str
    steps: Mapping[str, Step]
    defaults: Mapping[str, Any]  # of its configuration
    hard: Mapping[str, str]  # dependencies that must run before it: name, version requirement
    soft: Mapping[str, str]  # dependencies that are started before it, and may fail
    artifacts: tuple[Artifact, ...] = ()

    @property
    def home(self) -> str:
        """The folder of its artifacts: of its name and version, and of what they are, for a version may be deleted and
        made anew."""
        mark = hashlib.sha256(repr(self.artifacts).encode()).hexdigest()[:12]
        return f"{self.name}/{self.version}-{mark}"


def generic_of(recipe: Mapping[str, Any], platform: Mapping[str, str]) -> Generic:
    """What to run on a device with those attributes. Raises BadComponent."""
    try:
        name, version = str(recipe["ComponentName"]), str(recipe["ComponentVersion"])
        if recipe["RecipeFormatVersion"] != "2020-01-25":
            raise BadComponent(f"{name}: RecipeFormatVersion must be 2020-01-25")
        manifest = manifest_of(name, recipe.get("Manifests") or [], platform)
        lifecycle = _mapping(name, "Lifecycle", lifecycle_of(recipe, manifest))
        configuration = _mapping(name, "ComponentConfiguration", recipe.get("ComponentConfiguration") or {})
        defaults = _mapping(name, "DefaultConfiguration", configuration.get("DefaultConfiguration") or {})
        hard, soft = dependencies_of(name, recipe)
        artifacts = artifacts_of(name, manifest)
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


def filled_in(value: Any, known: Callable[[str, str, str], str | None]) -> Any:
    """A JSON value of which every text, and no name, is ``filled``."""
    if isinstance(value, str):
        return filled(value, known) if "{" in value else value
    if isinstance(value, Mapping):
        return {name: filled_in(each, known) for name, each in value.items()}
    return [filled_in(each, known) for each in value] if isinstance(value, list) else value


def _steps(name: str, lifecycle: Mapping[str, Any]) -> dict[str, Step]:
    common = _environment(name, lifecycle.get("Setenv") or lifecycle.get("setenv") or {})
    steps = {
        kind: _step(name, key, value, common)
        for key, value in lifecycle.items()
        if (kind := key.lower()) != "setenv" and (value is not None or kind not in STEPS)  # `run:` alone is no step
    }
    if "startup" in steps and "run" in steps:
        raise BadComponent(f"{name}: a component has startup or run, not both")
    return steps


def _step(name: str, key: str, value: Any, common: Mapping[str, str]) -> Step:
    if key.lower() not in STEPS:
        raise BadComponent(f"{name}: the lifecycle step {key} is not run by Littoral's cores")
    said = {"script": value} if isinstance(value, str) else written(_mapping(name, key, value))
    unknown = set(said) - _KNOWN_OF_STEP
    if unknown or not isinstance(said.get("script"), str):
        raise BadComponent(f"{name}: {key} must have a Script, and no {', '.join(sorted(unknown)) or 'other value'}")
    privileged, skip_if = said.get("requiresprivilege", False), said.get("skipif")
    if not isinstance(privileged, (bool, str)):
        raise BadComponent(f"{name}: RequiresPrivilege of {key} must be true or false")
    if skip_if is not None and not (isinstance(skip_if, str) and _SKIP_IF.fullmatch(skip_if)):
        raise BadComponent(f"{name}: Skipif of {key} must be 'onpath PROGRAM' or 'exists FILE'")
    timeout = said.get("timeout", STEPS[key.lower()])
    if not (isinstance(timeout, str) and _VARIABLE.search(timeout)):
        timeout = seconds_of(name, timeout)
    own = {**common, **_environment(name, said.get("setenv") or {})}
    return Step(said["script"], timeout, own, skip_if, str(privileged).lower())


def seconds_of(name: str, timeout: Any) -> float | None:
    """A time limit as it is written, perhaps as a text. Raises BadComponent."""
    try:
        found = None if timeout is None or isinstance(timeout, bool) else float(timeout)
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(timeout, bool) or (found is not None and not 0 < found < 10**9):
        raise BadComponent(f"{name}: a Timeout must be a number of seconds, not {timeout!r}")
    return found


def _environment(name: str, value: Any) -> dict[str, str]:
    found = _mapping(name, "Setenv", value)
    if not all(isinstance(each, (str, int, float)) for each in found.values()):
        raise BadComponent(f"{name}: Setenv must be texts by name")
    return {key: str(each) for key, each in found.items()}


def dependencies_of(name: str, recipe: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Hard and soft ones with their version requirements. Raises BadComponent."""
    hard: dict[str, str] = {}
    soft: dict[str, str] = {}
    for other, each in _mapping(name, "ComponentDependencies", recipe.get("ComponentDependencies") or {}).items():
        described = written(_mapping(name, other, each))
        kind = described.get("dependencytype", "HARD")
        if kind not in ("HARD", "SOFT"):
            raise BadComponent(f"{name}: DependencyType of {other} must be HARD or SOFT")
        (hard if kind == "HARD" else soft)[other] = requirement = str(described.get("versionrequirement", "*"))
        try:
            ranges(requirement)
        except BadVersion as problem:
            raise BadComponent(f"{name}: VersionRequirement of {other}: {problem}") from problem
    return hard, soft


def artifacts_of(name: str, manifest: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Raises BadComponent."""
    listed = manifest.get("Artifacts") or []
    if not isinstance(listed, list):
        raise BadComponent(f"{name}: Artifacts must be a list")
    found = tuple(_artifact(name, each) for each in listed)
    for names in ([each.file for each in found], [each.stem for each in found if each.unpack]):
        if len(set(names)) < len(names):
            raise BadComponent(f"{name}: two artifacts would have the same file name")
    return found


def written(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object of a recipe whose keys are spelled as one likes: URI, Uri, uri."""
    return {key.lower(): each for key, each in value.items()}


def _artifact(name: str, value: Any) -> Artifact:
    said = written(_mapping(name, "Artifacts", value))
    unpack, algorithm = said.get("unarchive", "NONE"), said.get("algorithm", "SHA-256")
    bucket, key, own = _place(name, said.get("uri"))
    if unpack not in ("NONE", "ZIP") or algorithm != "SHA-256":
        raise BadComponent(f"{name}: Unarchive of an artifact is NONE or ZIP, its Algorithm SHA-256")
    unknown = set(said) - {"uri", "unarchive", "algorithm", "digest", "permission"}
    if unknown:
        raise BadComponent(f"{name}: an artifact has no {', '.join(sorted(unknown))}")
    mode = _mode(name, written(_mapping(name, "Permission", said.get("permission") or {})))
    return Artifact(bucket, key, str(said.get("digest") or ""), unpack == "ZIP", mode, own)


def _place(name: str, uri: Any) -> tuple[str, str, bool]:
    """Bucket, key, and whether Greengrass itself keeps it."""
    if isinstance(uri, str) and uri.startswith(OWN_SCHEME):
        return "", _file_of(name, uri, uri.removeprefix(OWN_SCHEME)), True
    if isinstance(uri, str) and uri.startswith(LOCAL_SCHEME):
        key = uri.removeprefix(LOCAL_SCHEME)
        parts = PurePosixPath(key).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in key:
            raise BadComponent(f"{name}: {uri!r} leads out of the artifact folder")
        return "", key, False
    found = _OBJECT.fullmatch(uri) if isinstance(uri, str) else None
    if found is None:
        hint = ""
        if isinstance(uri, str) and uri.startswith(REGISTRY_SCHEME):
            hint = ": littoral models component MODEL/VERSION makes a component of what the registry has"
        raise BadComponent(f"{name}: the URI of an artifact must be s3://BUCKET/KEY here, not {uri!r}{hint}")
    return found["bucket"], _file_of(name, uri, found["key"]), False


def _file_of(name: str, uri: str, key: str) -> str:
    if PurePosixPath(key).name in ("", ".", "..") or key.endswith("/") or key.startswith("//") or "\0" in key:
        raise BadComponent(f"{name}: {uri!r} ends in no file name")
    return key


def _mode(name: str, permission: Mapping[str, Any]) -> int:
    """AWS's own: read by the owner, executed by nobody."""
    read, execute = permission.get("read", "OWNER"), permission.get("execute", "NONE")
    bits = {"NONE": 0, "OWNER": 0o100, "ALL": 0o111}  # what may be run may be read
    if set(permission) - {"read", "execute"} or read not in bits or execute not in bits:
        raise BadComponent(f"{name}: Permission of an artifact has Read and Execute: NONE, OWNER or ALL")
    return (bits[read] | bits[execute]) << 2 | bits[execute]


def _mapping(name: str, what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadComponent(f"{name}: {what} must be an object")
    return value
