"""What a message stream may be: its MessageStreamDefinition, read from the wire, checked, and written again. Pure.

Members, bounds and defaults are those of the SDK's data classes. Exports to anything but Kinesis, S3 and HTTP servers
are refused by name, for there is nothing here that would take them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from littoral.protocols.streammanager.wire import Refused, Status, name_of

MiB: Final = 1024 * 1024
LARGE: Final = 2**63 - 1
LONGEST: Final = 9_223_372_036_854  # milliseconds
LOWEST: Final = 10  # priority
NOT_SERVED: Final = {"iotAnalytics": "AWS IoT Analytics", "IotSitewise": "AWS IoT SiteWise"}


class OnFull(enum.IntEnum):
    REJECT_NEW_DATA = 0
    OVERWRITE_OLDEST_DATA = 1


class Persistence(enum.IntEnum):
    FILE = 0
    MEMORY = 1


class Level(enum.IntEnum):
    """Of a status message; what is above the wanted level is not told."""

    ERROR = 0
    WARN = 1
    INFO = 2
    DEBUG = 3
    TRACE = 4


@dataclass(frozen=True, slots=True)
class Export:
    """One way out of a stream. ``target`` is the Kinesis stream or the HTTP server's address; an S3 task executor has
    none, but maybe a stream that it tells how it goes."""

    kind: Literal["kinesis", "s3TaskExecutor", "http"]
    identifier: str
    target: str = ""
    batch: int = 500  # messages at most at once
    interval: float | None = None  # seconds that an incomplete batch waits; None: it does not
    priority: int = LOWEST
    start: int = 0  # sequence number
    disabled: bool = False
    status_stream: str | None = None
    status_level: Level = Level.INFO
    batched: bool = False  # over HTTP: a batch is one request
    in_parts_from: int = 5 * MiB  # bytes; a larger file goes to S3 in parts


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    max_size: int
    segment_size: int
    ttl: float | None  # seconds
    on_full: OnFull
    persistence: Persistence
    exports: tuple[Export, ...]
    document: Mapping[str, Any]  # as it was given, and is told again


def definition_of(value: object) -> Definition:
    """Raises Refused."""
    given = _object(value, "definition")
    return Definition(
        name_of(given.get("name"), "name"),
        _number(given, "maxSize", 1024, LARGE, 256 * MiB),
        _number(given, "streamSegmentSize", 1024, 2**31 - 1, 16 * MiB),
        _seconds(given, "timeToLiveMillis"),
        OnFull(_number(given, "strategyOnFull", 0, 1)),
        Persistence(_number(given, "persistence", 0, 1, 0)),
        _exports(given.get("exportDefinition")),
        {**given, "flushOnWrite": _flag(given, "flushOnWrite")},
    )


def _exports(value: object) -> tuple[Export, ...]:
    if value is None:
        return ()
    given = _object(value, "exportDefinition")
    for member, what in NOT_SERVED.items():
        if given.get(member):
            raise _invalid(f"exports to {what} are not served by this core; there are kinesis, s3TaskExecutor and http")
    found = [_kinesis(each) for each in _list(given, "kinesis")]
    found += [_http(each) for each in _list(given, "http")]
    found += [_tasks(each) for each in _list(given, "s3TaskExecutor")]
    names = [each.identifier for each in found]
    if len(set(names)) < len(names):
        raise _invalid("two exports of a stream must not have one identifier")
    return tuple(found)


def _kinesis(value: object) -> Export:
    given = _object(value, "kinesis")
    target = given.get("kinesisStreamName")
    if not isinstance(target, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", target):
        raise _invalid("kinesisStreamName must be 1 to 128 of A-Z a-z 0-9 _ . -")
    return _batches(given, "kinesis", target)


def _http(value: object) -> Export:
    given = _object(value, "http")
    address = given.get("uri")
    if not isinstance(address, str) or not re.fullmatch(r"https?://[^/\s]+(/\S*)?", address):
        raise _invalid("uri must be an address, http:// or https://")
    return _batches(given, "http", address, batched=_number(given, "exportFormat", 0, 1, 0) == 1)


def _batches(
    given: Mapping[str, Any], kind: Literal["kinesis", "http"], target: str, *, batched: bool = False
) -> Export:
    return Export(
        kind,
        name_of(given.get("identifier"), "identifier"),
        target,
        _number(given, "batchSize", 1, 500, 500),
        _seconds(given, "batchIntervalMillis"),
        _number(given, "priority", 1, LOWEST, LOWEST),
        _number(given, "startSequenceNumber", 0, LARGE, 0),
        _flag(given, "disabled"),
        batched=batched,
    )


def _tasks(value: object) -> Export:
    given = _object(value, "s3TaskExecutor")
    told = _object(given.get("statusConfig") or {}, "statusConfig")
    stream = told.get("statusStreamName")
    return Export(
        "s3TaskExecutor",
        name_of(given.get("identifier"), "identifier"),
        batch=1,
        priority=_number(given, "priority", 1, LOWEST, LOWEST),
        disabled=_flag(given, "disabled"),
        status_stream=None if stream is None else name_of(stream, "statusStreamName"),
        status_level=Level(_number(told, "statusLevel", 0, 4, int(Level.INFO))),
        in_parts_from=_number(given, "sizeThresholdForMultipartUploadBytes", 5 * MiB, LARGE, 5 * MiB),
    )


def check_update(before: Definition, after: Definition, size: int, newest: int) -> None:
    """``size``: bytes of the messages that the stream has; ``newest``: the last one's sequence number. Raises Refused
    for what cannot be changed. Source: "Constraints for updating streams" in the Greengrass V2 guide."""
    if before.persistence != after.persistence:
        raise Refused(Status.UPDATE_NOT_ALLOWED, "the persistence of a stream cannot be changed")
    if after.max_size < size:
        raise Refused(Status.UPDATE_NOT_ALLOWED, f"maxSize must not be less than the {size} bytes that are there")
    starts = {each.identifier: each.start for each in before.exports}
    for export in after.exports:
        if export.start != starts.get(export.identifier, 0) and 0 < export.start >= newest:
            raise Refused(Status.UPDATE_NOT_ALLOWED, f"startSequenceNumber must be less than the last one, {newest}")


# ------------------------------------------------------------------------------------------------ members


def _invalid(message: str) -> Refused:
    return Refused(Status.INVALID_REQUEST, message)


def _object(value: object, member: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid(f"{member} must be an object")
    return value


def _list(given: Mapping[str, Any], member: str) -> list[Any]:
    found = given.get(member)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _invalid(f"{member} must be a list")
    return found


def _number(given: Mapping[str, Any], member: str, least: int, most: int, default: int | None = None) -> int:
    found = given.get(member)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise _invalid(f"{member} must be a number from {least} to {most}")
    return found


def _flag(given: Mapping[str, Any], member: str) -> bool:
    found = given.get(member)
    if not isinstance(found, bool | None):
        raise _invalid(f"{member} must be true or false")
    return bool(found)


def _seconds(given: Mapping[str, Any], member: str) -> float | None:
    return None if given.get(member) is None else _number(given, member, 60_000, LONGEST) / 1000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """ReadMessagesOptions."""

    start: int
    least: int
    most: int
    timeout: float  # seconds


def read_options_of(value: object) -> ReadOptions:
    """Raises Refused."""
    given = _object(value if value is not None else {}, "readMessagesOptions")
    least = _number(given, "minMessageCount", 1, 2**31 - 1, 1)
    most = _number(given, "maxMessageCount", 1, 2**31 - 1, least)
    if most < least:
        raise _invalid("maxMessageCount must not be less than minMessageCount")
    start = _number(given, "desiredStartSequenceNumber", 0, LARGE, 0)
    return ReadOptions(start, least, most, _number(given, "readTimeoutMillis", 0, LONGEST, 0) / 1000)
