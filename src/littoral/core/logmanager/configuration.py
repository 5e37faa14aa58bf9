"""What a deployment configures of aws.greengrass.LogManager. Pure. Source: "Log manager" in the Greengrass V2 guide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.core.recipe import BadComponent

NAME: Final = "aws.greengrass.LogManager"
LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR")
UNITS: Final = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}
INTERVAL: Final = 300.0  # seconds
_COMPONENT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KNOWN: Final = frozenset(("minimumLogLevel", "diskSpaceLimit", "diskSpaceLimitUnit", "deleteLogFileAfterCloudUpload"))


@dataclass(frozen=True, slots=True)
class Upload:
    """Of one log. ``limit``: bytes that its files may take, None for any; ``start`` finds where events begin."""

    minimum: int = 0  # of LEVELS
    limit: int | None = None
    deletes: bool = False
    start: Any = None  # a compiled expression of re2, whose time is linear


@dataclass(frozen=True, slots=True)
class Settings:
    system: Upload | None = None
    components: Mapping[str, Upload] = field(default_factory=dict)
    interval: float = INTERVAL


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent, also for what AWS's has and this one has not."""
    _only(configuration, frozenset(("logsUploaderConfiguration", "periodicUploadIntervalSec")), "")
    uploader = _object(configuration.get("logsUploaderConfiguration"), "logsUploaderConfiguration")
    kinds = ("systemLogsConfiguration", "componentLogsConfigurationMap", "componentLogsConfiguration")
    _only(uploader, frozenset(kinds), "logsUploaderConfiguration")
    system = _object(uploader.get("systemLogsConfiguration"), "systemLogsConfiguration")
    uploads = _flag(system, "uploadToCloudWatch")
    return Settings(
        _upload({key: value for key, value in system.items() if key != "uploadToCloudWatch"}, "the system's logs")
        if uploads
        else None,
        _components(uploader),
        _positive(configuration, "periodicUploadIntervalSec", INTERVAL),
    )


def _components(uploader: Mapping[str, Any]) -> dict[str, Upload]:
    found: dict[str, Any] = {}
    for each in uploader.get("componentLogsConfiguration") or ():
        given = _object(each, "componentLogsConfiguration")
        found[str(given.get("componentName"))] = {key: value for key, value in given.items() if key != "componentName"}
    found |= _object(uploader.get("componentLogsConfigurationMap"), "componentLogsConfigurationMap")
    for name in found:
        if not _COMPONENT.fullmatch(name):
            raise BadComponent(f"{NAME}: {name!r} is no name of a component")
    return {name: _upload(_object(each, name), name, "multiLineStartPattern") for name, each in found.items()}


def _upload(given: Mapping[str, Any], of: str, *more: str) -> Upload:
    _only(given, _KNOWN | set(more), of)
    level = str(given.get("minimumLogLevel", LEVELS[0])).upper()
    if level not in LEVELS:
        raise BadComponent(f"{NAME}: minimumLogLevel of {of} must be one of {', '.join(LEVELS)}")
    unit = str(given.get("diskSpaceLimitUnit", "KB"))
    if unit not in UNITS:
        raise BadComponent(f"{NAME}: diskSpaceLimitUnit of {of} must be one of {', '.join(UNITS)}")
    limit = _positive(given, "diskSpaceLimit", 0.0)
    start = _pattern(given.get("multiLineStartPattern"), of)
    deletes = _flag(given, "deleteLogFileAfterCloudUpload")
    return Upload(LEVELS.index(level), int(limit * UNITS[unit]) or None, deletes, start)


def _pattern(text: Any, of: str) -> Any:
    """Compiled, None where there is none. Raises BadComponent."""
    if not text:
        return None
    import re2  # a core without patterns does without it

    try:
        return re2.compile(text)
    except (re2.error, TypeError) as problem:
        raise BadComponent(f"{NAME}: multiLineStartPattern of {of} is no expression: {problem}") from problem


def _only(given: Mapping[str, Any], known: frozenset[str], of: str) -> None:
    if unknown := sorted(given.keys() - known):
        where = f" of {of}" if of else ""
        raise BadComponent(f"{NAME}: {', '.join(unknown)}{where} is not served by Littoral's cores")


def _object(value: Any, of: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadComponent(f"{NAME}: {of} must be an object")
    return value


def _flag(given: Mapping[str, Any], member: str) -> bool:
    """AWS writes them as texts, or as they are."""
    text = str(given.get(member, "false")).lower()
    if text not in ("true", "false"):
        raise BadComponent(f"{NAME}: {member} must be true or false")
    return text == "true"


def _positive(given: Mapping[str, Any], member: str, default: float) -> float:
    if member not in given:
        return default
    try:
        found = float(given[member])
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < 1e15:
        raise BadComponent(f"{NAME}: {member} must be a number, and more than 0")
    return found
