"""The messages of the fleet status service: what a core tells of itself and its components. Pure.

Their form is that of AWS's nucleus (FleetStatusService, aws-greengrass-nucleus on GitHub): one JSON object on
``$aws/things/THING/greengrassv2/health/json``, in chunks where it would pass 128,000 bytes. COMPLETE names all
components; PARTIAL those that may have changed, and with no ``fleetConfigArns`` those that are no longer deployed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

TOPIC: Final = "$aws/things/{}/greengrassv2/health/json"
MOST: Final = 128_000  # bytes of a message: AWS IoT Core takes 128 KiB
STATES: Final = ("NEW", "INSTALLED", "STARTING", "RUNNING", "STOPPING", "ERRORED", "BROKEN", "FINISHED")
LOCAL: Final = "LOCAL_DEPLOYMENT"

Trigger = Literal[
    "NUCLEUS_LAUNCH",
    "RECONNECT",
    "CADENCE",
    "COMPONENT_STATUS_CHANGE",
    "THING_DEPLOYMENT",
    "THING_GROUP_DEPLOYMENT",
    "LOCAL_DEPLOYMENT",
]
WHOLE: Final = ("NUCLEUS_LAUNCH", "CADENCE")


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    version: str
    state: str
    root: bool = True  # a deployment names it
    arns: tuple[str, ...] = ()  # of the deployments that it is of
    codes: tuple[str, ...] = ()  # why it is ERRORED or BROKEN, as far as is known
    reason: str = ""  # the same in words


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """One message, as the place above reads it."""

    version: str
    platform: str
    architecture: str
    healthy: bool
    whole: bool  # a component that it does not name is not there; of chunks the first says so
    components: tuple[Component, ...]
    source: str = ""  # the deployment after which it was told: its id, or LOCAL
    arn: str = ""  # and its ARN


def messages(head: Mapping[str, Any], components: Iterable[Component], most: int = MOST) -> list[bytes]:
    """``head``: all but the components. A component that would be too large alone is left out."""
    room = most - len(_written({**head, "chunkInfo": {"chunkId": 10**6, "totalChunks": 10**6}, "components": []}))
    chunks: list[list[dict[str, Any]]] = [[]]
    used = 0
    for each in components:
        shown = _shown(each)
        size = len(_written(shown)) + 1
        if used + size > room and chunks[-1]:
            chunks.append([])
            used = 0
        if size <= room:
            chunks[-1].append(shown)
            used += size
    info = [{"chunkInfo": {"chunkId": n, "totalChunks": len(chunks)}} for n in range(1, len(chunks) + 1)]
    parts = info if len(chunks) > 1 else [{}]
    return [_written({**head, **part, "components": chunk}) for part, chunk in zip(parts, chunks, strict=True)]


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _shown(each: Component) -> dict[str, Any]:
    known = each.codes or each.reason
    details = {"statusCodes": list(each.codes), "statusReason": each.reason or None} if known else None
    return {
        "componentName": each.name,
        "version": each.version,
        "fleetConfigArns": list(each.arns),
        "componentStatusDetails": details,
        "isRoot": each.root,
        "status": each.state,
    }


def parse(payload: bytes) -> FleetStatus:
    """What of it can be read. Raises ValueError for what is none."""
    told = json.loads(payload)
    if not isinstance(told, dict) or told.get("overallDeviceStatus") not in ("HEALTHY", "UNHEALTHY"):
        raise ValueError("a fleet status has an overallDeviceStatus")
    information, chunk = _mapping(told.get("deploymentInformation")), _mapping(told.get("chunkInfo"))
    return FleetStatus(
        _text(told.get("ggcVersion")),
        _text(told.get("platform")),
        _text(told.get("architecture")),
        told["overallDeviceStatus"] == "HEALTHY",
        told.get("messageType") == "COMPLETE" and chunk.get("chunkId", 1) == 1,
        tuple(_component(each) for each in _list(told.get("components")) if _is_component(each)),
        "LOCAL" if told.get("trigger") == LOCAL else _text(information.get("deploymentId")),
        _text(information.get("fleetConfigurationArnForStatus")),
    )


def _is_component(each: Any) -> bool:
    named = isinstance(each, dict) and isinstance(each.get("componentName"), str) and each["componentName"]
    return bool(named) and each.get("status") in STATES


def _component(each: Mapping[str, Any]) -> Component:
    details = _mapping(each.get("componentStatusDetails"))
    return Component(
        each["componentName"],
        _text(each.get("version")),
        each["status"],
        each.get("isRoot") is True,
        tuple(_texts(each.get("fleetConfigArns"))),
        tuple(_texts(details.get("statusCodes"))),
        _text(details.get("statusReason")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _texts(value: Any) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
