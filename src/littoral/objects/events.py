"""Event notifications: a bucket's configuration checked and matched, and the record that a destination gets. Pure.

The record follows "Event message structure" of the S3 user guide. Destinations are functions, queues and topics. Queues
and topics get an ``s3:TestEvent`` when they are configured; a function's permissions are checked instead.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

from littoral.objects.errors import error, invalid_argument, not_implemented
from littoral.objects.facts import Content

HAPPENS = (
    *("ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload"),
    *("ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"),
    *("LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"),
    *("ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"),
)
_FAMILIES = ("ObjectCreated:*", "ObjectRemoved:*", "LifecycleExpiration:*", "ObjectTagging:*")
_EVENTS = {f"s3:{name}" for name in (*HAPPENS, *_FAMILIES)}
_FUNCTION = r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?"
_QUEUE = r"arn:aws[a-z-]*:(sqs:[a-z0-9-]+:\d{12}:|kinesis:[a-z0-9-]+:\d{12}:stream/)[A-Za-z0-9_-]{1,80}"
_TOPIC = r"arn:aws[a-z-]*:(sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}|iot:[a-z0-9-]+:\d{12}:topic/.{1,256})"
FUNCTION, QUEUE, TOPIC = "LambdaFunction", "Queue", "Topic"
DESTINATIONS = {FUNCTION: re.compile(_FUNCTION), QUEUE: re.compile(_QUEUE), TOPIC: re.compile(_TOPIC)}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One LambdaFunctionConfiguration, QueueConfiguration or TopicConfiguration, as ``kind`` says."""

    id: str
    kind: str
    target: str  # an ARN
    events: tuple[str, ...]  # "s3:ObjectCreated:*"
    prefix: str = ""
    suffix: str = ""
    filtered: bool = False  # a filter was given, if only an empty one

    def wants(self, event: str, key: str) -> bool:
        """``event`` without "s3:", as in the record."""
        family = f"s3:{event.partition(':')[0]}:*"
        asked = f"s3:{event}" in self.events or family in self.events
        return asked and key.startswith(self.prefix) and key.endswith(self.suffix)

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "Id": self.id,
            f"{self.kind}Arn": self.target,
            "Events": list(self.events),
        }
        rules = [{"Name": n, "Value": v} for n, v in (("Prefix", self.prefix), ("Suffix", self.suffix)) if v]
        if self.filtered:
            shown["Filter"] = {"Key": {"FilterRules": rules}}
        return shown


@dataclass(frozen=True, slots=True)
class Origin:
    """Who did it, for the record."""

    principal: str
    source_ip: str
    request_id: str
    now: float
    replica: str | None = None  # the version that this replicates, where it does


@dataclass(frozen=True, slots=True)
class Happened:
    """What was done. ``event`` as in the record, without "s3:"; ``content`` is None for a removal, ``version`` where
    the bucket never kept any."""

    event: str
    bucket: str
    key: str
    sequencer: int
    version: str | None = None
    content: Content | None = None

    @property
    def of_what_is_there(self) -> bool:
        """Tags or a list of an object were changed, not the object."""
        return self.event.startswith(("ObjectTagging", "ObjectAcl"))


@dataclass(frozen=True, slots=True)
class Notifications:
    """A bucket's configuration; ``bus`` is whether EventBridge gets every event."""

    triggers: tuple[Trigger, ...] = ()
    bus: bool = False

    def dump(self) -> str | None:
        if not self.triggers and not self.bus:
            return None
        return json.dumps({"triggers": [each.shown() for each in self.triggers], "bus": self.bus})


def notifications_of(configuration: dict[str, Any]) -> Notifications:
    """Raises InvalidArgument, NotImplemented."""
    made = tuple(
        _trigger(each, kind) for kind in DESTINATIONS for each in configuration.get(f"{kind}Configurations") or []
    )
    if len({each.id for each in made}) != len(made):
        raise error("InvalidArgument", "Same ID used for multiple configurations. IDs must be unique")
    _check_overlaps(made)
    return Notifications(made, configuration.get("EventBridgeConfiguration") is not None)


@lru_cache(maxsize=1024)
def loaded(text: str) -> Notifications:
    raw = json.loads(text)
    if isinstance(raw, list):  # as it was kept before there was a bus
        raw = {"triggers": raw, "bus": False}
    return Notifications(tuple(_trigger(each, _kind(each)) for each in raw["triggers"]), raw["bus"])


def shown(kept: Notifications) -> dict[str, Any]:
    """As GetBucketNotificationConfiguration tells it."""
    told: dict[str, Any] = {"EventBridgeConfiguration": {}} if kept.bus else {}
    for trigger in kept.triggers:
        told.setdefault(f"{trigger.kind}Configurations", []).append(trigger.shown())
    return told


def check_event(bucket: str, request_id: str, now: float) -> dict[str, Any]:
    """What S3 sends to a queue or topic that is configured, to see that it can."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _moment(now),
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": request_id,
    }


def record(trigger: Trigger, origin: Origin, happened: Happened, *, region: str, account: str) -> dict[str, Any]:
    """The whole event: ``{"Records": [one]}``."""
    content, bucket = happened.content, happened.bucket
    thing: dict[str, Any] = {"key": quote_plus(happened.key, safe="/*")}
    if content is not None:
        thing |= {"eTag": content.etag} if happened.of_what_is_there else {"size": content.size, "eTag": content.etag}
    if happened.version is not None:
        thing["versionId"] = happened.version
    if not happened.of_what_is_there:
        thing["sequencer"] = f"{happened.sequencer:018X}"
    entry = {
        "eventVersion": "2.1" if happened.event.startswith(("ObjectCreated", "ObjectRemoved")) else "2.3",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": _moment(origin.now),
        "eventName": happened.event,
        "userIdentity": {"principalId": f"AWS:{origin.principal}"},
        "requestParameters": {"sourceIPAddress": origin.source_ip},
        "responseElements": {"x-amz-request-id": origin.request_id, "x-amz-id-2": origin.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": trigger.id,
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": account},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": thing,
        },
    }
    return {"Records": [entry]}


def _moment(now: float) -> str:
    at = datetime.fromtimestamp(now, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _kind(given: dict[str, Any]) -> str:
    return next(kind for kind in DESTINATIONS if f"{kind}Arn" in given)


def _trigger(given: dict[str, Any], kind: str) -> Trigger:
    target = given.get(f"{kind}Arn") or ""
    if not DESTINATIONS[kind].fullmatch(target):
        raise invalid_argument("The ARN could not be parsed", f"{kind}Arn", target)
    events = tuple(given.get("Events") or ())
    for event in events:
        if event not in _EVENTS:
            raise not_implemented(f"Event {event[:60]} does not occur here; there are {', '.join(sorted(_EVENTS))}")
    if not events:
        raise invalid_argument("At least one event is required", "Event", "")
    filters = dict(_filters(given.get("Filter")))
    identity = given.get("Id") or secrets.token_hex(16)
    if len(identity) > 255:
        raise invalid_argument("The ID must not be longer than 255 characters", "Id", identity)
    return Trigger(
        identity,
        kind,
        target,
        events,
        filters.get("prefix", ""),
        filters.get("suffix", ""),
        given.get("Filter") is not None,
    )


def _filters(given: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    seen = set()
    for rule in ((given or {}).get("Key") or {}).get("FilterRules") or []:
        name, value = str(rule.get("Name", "")).lower(), rule.get("Value") or ""
        if name not in ("prefix", "suffix"):
            raise invalid_argument("filter rule name must be either prefix or suffix", "FilterRule.Name", name)
        if name in seen:
            raise invalid_argument(f"Cannot specify more than one {name} rule in a filter.", "FilterRule.Name", name)
        if len(value.encode()) > 1024:
            raise invalid_argument("Size of filter rule value cannot exceed 1024 bytes", "FilterRule.Value", value)
        seen.add(name)
        yield name, value


def _check_overlaps(triggers: tuple[Trigger, ...]) -> None:
    """S3 refuses two configurations that one event could match."""
    for number, one in enumerate(triggers):
        for other in triggers[number + 1 :]:
            keys = (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)) and (
                one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
            )
            if keys and any(one.wants(e, one.prefix + one.suffix) and _asks(other, e) for e in HAPPENS):
                message = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
                raise error("InvalidArgument", message)


def _asks(trigger: Trigger, event: str) -> bool:
    return trigger.wants(event, trigger.prefix + trigger.suffix)
