"""What a function is: its versions, aliases and settings, and the documents they are kept as. Pure.

``FunctionVersion`` is everything one execution needs to know, immutable; ``$LATEST`` is replaced as a whole by an
update, a numbered version never changes.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from littoral.functions.names import LATEST, Home, is_number
from littoral.functions.opt import merged_key

NETWORK = "LITTORAL_NETWORK"  # variable of a function: on (where it is not there) or off


@dataclass(frozen=True, slots=True)
class Placement:
    """How instances of a function are kept; only ``Functions.install`` sets it. A pinned function (a core's
    long-lived one) has one instance, never reaped, and events wait their turn instead of being throttled."""

    max_instances: int | None = None
    pinned: bool = False
    queue: int = 0  # events that may wait when ``max_instances`` are busy
    idle: float | None = None  # seconds without work after which an instance is ended; None: the place's
    component: str = ""  # the component of a core that this function is: it then has the core's sockets
    binary: bool = False  # events and results are bytes, whatever they are
    arguments: tuple[str, ...] = ()  # of the process that runs the handler


@dataclass(frozen=True, slots=True)
class LayerUse:
    """A layer version as a function keeps it: what it runs with does not change when the layer is deleted."""

    arn: str
    sha256: str  # base64, of the zip
    size: int  # bytes of the zip

    @property
    def code_key(self) -> str:
        return base64.b64decode(self.sha256).hex()


@dataclass(frozen=True, slots=True)
class LogStyle:
    """How a function's log is written. Levels count only for JSON, as on AWS."""

    format: str = "Text"  # or "JSON"
    application_level: str = ""  # TRACE … FATAL
    system_level: str = ""  # DEBUG, INFO, WARN

    @property
    def is_json(self) -> bool:
        return self.format == "JSON"


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
    layers: tuple[LayerUse, ...] = ()
    dead_letter: str = ""  # ARN of where events go that failed for good
    tracing: str = "PassThrough"
    snap_start: str = "None"
    log_style: LogStyle = field(default_factory=LogStyle)
    latest_description: str | None = None  # of $LATEST when it was published; a version may be given another
    key: str = field(init=False, repr=False, compare=False)  # instances are shared by what has the same key

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.name}:{self.version}:{self.revision_id}")

    @property
    def code_key(self) -> str:
        """The code's SHA-256 in hex: safe in paths and blob keys."""
        return base64.b64decode(self.code_sha256).hex()

    @property
    def layer_keys(self) -> list[str]:
        return [use.code_key for use in self.layers]

    @property
    def folders(self) -> set[str]:
        """Names of all folders that an instance needs: its code, its layers, and those merged."""
        layers = self.layer_keys
        return {self.code_key, *layers, *([merged_key(layers)] if len(layers) > 1 else [])}

    @property
    def is_provided(self) -> bool:
        """The zip brings its own runtime, a ``bootstrap``."""
        return self.runtime.startswith("provided")

    @property
    def asks(self) -> bool:
        """Its runtime asks the Runtime API for events, whoever brought it."""
        return self.is_provided or self.runtime.startswith(("java", "dotnet"))

    @property
    def network(self) -> bool:
        """Whether it has the machine's network, or only a loopback of its own."""
        return (self.environment or {}).get(NETWORK) != "off"

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
    revisions: dict[str, str] = field(default_factory=dict)  # qualifier or "" → since its policy or tags changed
    event_configs: dict[str, dict[str, Any]] = field(default_factory=dict)  # qualifier → configuration
    tags: dict[str, str] = field(default_factory=dict)
    urls: dict[str, dict[str, Any]] = field(default_factory=dict)  # alias or "" → its URL
    provisioned: dict[str, dict[str, Any]] = field(default_factory=dict)  # qualifier → count, LastModified
    recursive_loop: str = "Terminate"
    versions: dict[int, FunctionVersion] = field(default_factory=dict)  # kept as documents of their own

    def version(self, number: str) -> FunctionVersion | None:
        return self.latest if number == LATEST else self.versions.get(int(number))

    def revision(self, qualifier: str = "") -> str:
        """The RevisionId that is shown and compared: a policy's change is one of what it belongs to."""
        qualifier = "" if qualifier == LATEST else qualifier
        if qualifier in self.revisions:
            return self.revisions[qualifier]
        if qualifier in self.aliases:
            return self.aliases[qualifier].revision_id
        version = self.version(qualifier or LATEST) if not qualifier or is_number(qualifier) else None
        return version.revision_id if version is not None else ""

    def revised(self, qualifier: str = "") -> dict[str, str]:
        """Its revisions after a change that is none of the version itself: instances go on."""
        return {**self.revisions, qualifier: new_revision()}


def new_revision() -> str:
    return str(uuid.uuid4())


def aws_time(now: float) -> str:
    """``2026-11-23T15:30:23.000+0000``: the form of LastModified."""
    moment = datetime.fromtimestamp(now, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def iso_time(now: float) -> str:
    """``2026-11-23T15:30:23.000Z``: the form of log lines and records."""
    return aws_time(now).removesuffix("+0000") + "Z"


def version_document(version: FunctionVersion) -> dict[str, Any]:
    document = asdict(version)
    del document["key"]
    return document


def version_from(document: Mapping[str, Any]) -> FunctionVersion:
    known = dict(document)
    known["architectures"] = tuple(known["architectures"])
    placement = known["placement"]
    known["placement"] = Placement(**{**placement, "arguments": tuple(placement.get("arguments", ()))})
    known["layers"] = tuple(LayerUse(**use) for use in known.get("layers", ()))
    known["log_style"] = LogStyle(**known.get("log_style", {}))
    return FunctionVersion(**known)


def function_document(function: Function) -> dict[str, Any]:
    document = asdict(function)
    del document["versions"], document["latest"]["key"]
    return document


def function_from(document: Mapping[str, Any]) -> Function:
    known = dict(document)
    known["latest"] = version_from(known["latest"])
    known["revisions"] = known.pop("policy_revisions", None) or known.get("revisions", {})
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
        "TracingConfig": {"Mode": version.tracing},
        "RevisionId": version.revision_id,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": list(version.architectures),
        "EphemeralStorage": {"Size": version.ephemeral_storage},
        # No snapshot is ever made: a cold start is a fork of what is booted already.
        "SnapStart": {"ApplyOn": version.snap_start, "OptimizationStatus": "Off"},
        "LoggingConfig": _logging(version),
    }
    if version.environment:
        shown["Environment"] = {"Variables": dict(version.environment)}
    if version.layers:
        shown["Layers"] = [{"Arn": use.arn, "CodeSize": use.size} for use in version.layers]
    if version.dead_letter:
        shown["DeadLetterConfig"] = {"TargetArn": version.dead_letter}
    return shown


def _logging(version: FunctionVersion) -> dict[str, str]:
    style = version.log_style
    shown = {"LogFormat": style.format, "LogGroup": version.log_group}
    if style.is_json:
        shown |= {
            "ApplicationLogLevel": style.application_level or "INFO",
            "SystemLogLevel": style.system_level or "INFO",
        }
    return shown
