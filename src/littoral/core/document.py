"""A deployment as it travels: the desired and the reported part of the core's deployment shadow. Pure.

AWS's nucleus listens to the named shadow ``AWSManagedGreengrassV2Deployment``: ``desired.fleetConfig`` is the
deployment as JSON text; ``reported`` answers with ``fleetConfigurationArnForStatus``, ``status``, ``statusDetails``
and ``ggcVersion``. Ours adds ``components`` and ``platform`` (AWS's core tells these through its fleet status
service).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from littoral.core.recipe import BadComponent

SHADOW = "AWSManagedGreengrassV2Deployment"
Status = Literal["QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"]
DETAILS = {"SUCCEEDED": "SUCCESSFUL", "FAILED": "FAILED_ROLLBACK_COMPLETE"}


@dataclass(frozen=True, slots=True)
class Deployment:
    arn: str  # of the fleet configuration: …:configuration:thing/ward7-core:3
    deployment_id: str
    components: Mapping[str, Mapping[str, Any]]  # name -> {"version", "merge"}
    canceled: bool = False


def desired(deployment: Deployment) -> dict[str, Any]:
    components = {
        name: {
            "version": each["version"],
            **({"configurationUpdate": {"merge": json.loads(each["merge"])}} if each.get("merge") else {}),
        }
        for name, each in deployment.components.items()
    }
    fleet = {
        "configurationArn": deployment.arn,
        "deploymentId": deployment.deployment_id,
        "components": components,
        "failureHandlingPolicy": "ROLLBACK",
    }
    return {"fleetConfig": json.dumps(fleet), "desiredStatus": "CANCELED" if deployment.canceled else None}


def parse_desired(part: Mapping[str, Any]) -> Deployment | None:
    """None where nothing is desired. Raises BadComponent."""
    text = part.get("fleetConfig")
    if text is None:
        return None
    try:
        fleet = json.loads(text)
        components = {
            str(name): {
                "version": str(each["version"]),
                "merge": json.dumps(update["merge"]) if (update := each.get("configurationUpdate") or {}) else None,
            }
            for name, each in fleet["components"].items()
        }
        return Deployment(
            str(fleet["configurationArn"]),
            str(fleet.get("deploymentId", "")),
            components,
            part.get("desiredStatus") == "CANCELED",
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadComponent(f"the deployment in the shadow cannot be read: {problem!r}") from problem


def reported(
    arn: str,
    status: Status | None,
    version: str,
    components: list[dict[str, str]],
    platform: Mapping[str, str],
    reason: str = "",
) -> dict[str, Any]:
    """``reported`` as a core writes it; a None removes what an earlier one left."""
    return {
        "ggcVersion": version,
        "fleetConfigurationArnForStatus": arn,
        "status": status,
        "statusDetails": {"detailedStatus": DETAILS.get(status or ""), "failureCause": reason or None},
        "components": components,
        "platform": dict(platform),
    }


@dataclass(frozen=True, slots=True)
class Report:
    """What a core said of itself, as far as it can be read. A device writes what it likes into its shadow."""

    arn: str
    status: str
    reason: str
    version: str
    components: tuple[Mapping[str, str], ...]
    os: str
    architecture: str


STATES = ("NEW", "INSTALLED", "STARTING", "RUNNING", "STOPPING", "ERRORED", "BROKEN", "FINISHED")


def parse_reported(part: Mapping[str, Any]) -> Report:
    details, machine = _mapping(part.get("statusDetails")), _mapping(part.get("platform"))
    listed = part.get("components")
    found = [
        {key: each[key] for key in ("name", "version", "state")}
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
        and all(isinstance(each.get(key), str) and each[key] for key in ("name", "version"))
        and each.get("state") in STATES
    ]
    return Report(
        _text(part.get("fleetConfigurationArnForStatus")),
        _text(part.get("status")),
        _text(details.get("failureCause")),
        _text(part.get("ggcVersion")),
        tuple(found),
        _text(machine.get("os")),
        _text(machine.get("architecture")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
