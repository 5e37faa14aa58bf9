"""What a function is: its versions, aliases and settings, and the documents they are kept as. Pure.

``FunctionVersion`` is everything one execution needs to know, immutable; ``$LATEST`` is replaced as a whole by an
update, a numbered version never changes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from littoral.functions.names import LATEST, Home


@dataclass(frozen=True, slots=True)
class Placement:
    """How instances of a function are kept; only ``Functions.install`` sets it. A pinned function (a core's
    long-lived one) has one instance, never reaped, and events wait their turn instead of being throttled."""

    max_instances: int | None = None
    pinned: bool = False
    queue: int = 0  # events that may wait when ``max_instances`` are busy


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    name: str
    version: str
    runtime: str
    handler: str
    role: str
    code_sha256: str  # base64, as AWS shows it
    code_size: int
    revision_id: str
    last_modified: str
    description: str = ""
    timeout: int = 3  # seconds
    memory_size: int = 128  # MiB
    ephemeral_storage: int = 512  # MiB
    environment: Mapping[str, str] | None = None
    architectures: tuple[str, ...] = ("x86_64",)
    log_group: str = ""
    placement: Placement = field(default_factory=Placement)

    @property
    def code_key(self) -> str:
        """The code's SHA-256 in hex: safe in paths and blob keys."""
        return base64.b64decode(self.code_sha256).hex()

    @property
    def key(self) -> str:
        """Instances are shared by what has the same key."""
        return f"{self.name}:{self.version}:{self.revision_id}"

    @property
    def is_node(self) -> bool:
        return self.runtime.startswith("nodejs")


@dataclass(frozen=True, slots=True)
class Alias:
    name: str
    version: str
    description: str
    weights: Mapping[str, float]  # further version → share of the calls, 0-1
    revision_id: str


@dataclass(slots=True)
class Function:
    """A function with all that is not versioned."""

    name: str
    uid: str  # tells versions of this function from those of a deleted one of that name
    latest: FunctionVersion
    next_version: int = 1
    aliases: dict[str, Alias] = field(default_factory=dict)
    reserved: int | None = None
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # qualifier or "" → statements
    policy_revisions: dict[str, str] = field(default_factory=dict)
    event_configs: dict[str, dict[str, Any]] = field(default_factory=dict)  # qualifier → configuration
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, FunctionVersion] = field(default_factory=dict)  # kept as documents of their own

    def version(self, number: str) -> FunctionVersion | None:
        return self.latest if number == LATEST else self.versions.get(int(number))


def aws_time(now: float) -> str:
    """``2026-11-23T15:30:23.000+0000``: the form of LastModified."""
    moment = datetime.fromtimestamp(now, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def iso_time(now: float) -> str:
    """``2026-11-23T15:30:23.000Z``: the form of log lines and records."""
    return aws_time(now).removesuffix("+0000") + "Z"


def version_document(version: FunctionVersion) -> dict[str, Any]:
    return asdict(version)


def version_from(document: Mapping[str, Any]) -> FunctionVersion:
    known = dict(document)
    known["architectures"] = tuple(known["architectures"])
    known["placement"] = Placement(**known["placement"])
    return FunctionVersion(**known)


def function_document(function: Function) -> dict[str, Any]:
    document = asdict(function)
    del document["versions"]
    return document


def function_from(document: Mapping[str, Any]) -> Function:
    known = dict(document)
    known["latest"] = version_from(known["latest"])
    known["aliases"] = {name: Alias(**alias) for name, alias in known["aliases"].items()}
    return Function(**known)


def configuration(version: FunctionVersion, home: Home, *, qualified: bool) -> dict[str, Any]:
    """The FunctionConfiguration that the API shows."""
    shown: dict[str, Any] = {
        "FunctionName": version.name,
        "FunctionArn": home.arn(version.name, version.version if qualified else None),
        "Runtime": version.runtime,
        "Role": version.role,
        "Handler": version.handler,
        "CodeSize": version.code_size,
        "Description": version.description,
        "Timeout": version.timeout,
        "MemorySize": version.memory_size,
        "LastModified": version.last_modified,
        "CodeSha256": version.code_sha256,
        "Version": version.version,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": version.revision_id,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": list(version.architectures),
        "EphemeralStorage": {"Size": version.ephemeral_storage},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": version.log_group},
    }
    if version.environment:
        shown["Environment"] = {"Variables": dict(version.environment)}
    return shown
