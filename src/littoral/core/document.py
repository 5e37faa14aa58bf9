"""A deployment as it travels: the desired and the reported part of the core's deployment shadow. Pure.

AWS's nucleus listens to the named shadow ``AWSManagedGreengrassV2Deployment``: ``desired.fleetConfig`` is the
deployment as JSON text (of a deployment to a thing group, the same is the document of a job); ``reported`` answers with
``fleetConfigurationArnForStatus``, ``status``, ``statusDetails`` and ``ggcVersion``. How components fare is told
by the fleet status service (``fleetstatus``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from littoral.core.deploymenterrors import read, types_of
from littoral.core.recipe import BadComponent

STACK, TYPES = "deployment-error-stack", "deployment-error-types"  # of a job's status details
SHADOW = "AWSManagedGreengrassV2Deployment"
Status = Literal["QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED", "CANCELED"]
Detail = Literal[
    "SUCCESSFUL",
    "FAILED_NO_STATE_CHANGE",
    "FAILED_ROLLBACK_NOT_REQUESTED",
    "FAILED_ROLLBACK_COMPLETE",
    "FAILED_UNABLE_TO_ROLLBACK",
    "REJECTED",
]  # AWS's words for how it ended


@dataclass(frozen=True, slots=True)
class Deployment:
    arn: str  # of the fleet configuration: …:configuration:thing/ward7-core:3
    deployment_id: str
    components: Mapping[str, Mapping[str, Any]]  # name -> {"version", "merge", "reset"?, "runWith"?}
    canceled: bool = False
    failure: str = "ROLLBACK"  # or DO_NOTHING
    notify: bool = True  # ask components before they are updated
    notify_timeout: float = 60.0  # seconds
    validation_timeout: float = 30.0
    behalf: str = ""  # the ARN of the group in whose stead this one is deployed (parentTargetArn)

    @property
    def target(self) -> str:
        """``thing/ward7-core`` or ``thinggroup/ward``: a later deployment to the same takes the place of this one."""
        if self.behalf:
            return self.behalf.rpartition(":")[2]
        _, found, resource = self.arn.partition(":configuration:")
        return resource.rpartition(":")[0] if found else self.arn


def fleet_config(deployment: Deployment) -> dict[str, Any]:
    """As AWS's cloud writes it: the document of a job, and as text in the shadow."""
    action = "NOTIFY_COMPONENTS" if deployment.notify else "SKIP_NOTIFY_COMPONENTS"
    return {
        "configurationArn": deployment.arn,
        "deploymentId": deployment.deployment_id,
        "components": {name: _shown(each) for name, each in deployment.components.items()},
        "failureHandlingPolicy": deployment.failure,
        "componentUpdatePolicy": {"action": action, "timeout": deployment.notify_timeout},
        "configurationValidationPolicy": {"timeout": deployment.validation_timeout},
        **({"onBehalfOf": deployment.behalf, "parentTargetArn": deployment.behalf} if deployment.behalf else {}),
    }


def _shown(each: Mapping[str, Any]) -> dict[str, Any]:
    update = {
        **({"merge": json.loads(each["merge"])} if each.get("merge") else {}),
        **({"reset": each["reset"]} if each.get("reset") else {}),
    }
    return {
        "version": each["version"],
        **({"configurationUpdate": update} if update else {}),
        **({"runWith": each["runWith"]} if each.get("runWith") else {}),
    }


def desired(deployment: Deployment) -> dict[str, Any]:
    return {
        "fleetConfig": json.dumps(fleet_config(deployment)),
        "desiredStatus": "CANCELED" if deployment.canceled else None,
    }


def parse_desired(part: Mapping[str, Any]) -> Deployment | None:
    """None where nothing is desired. Raises BadComponent."""
    text = part.get("fleetConfig")
    if text is None:
        return None
    try:
        return parse_fleet(json.loads(text), canceled=part.get("desiredStatus") == "CANCELED")
    except (ValueError, TypeError) as problem:
        raise BadComponent(f"the deployment in the shadow cannot be read: {problem!r}") from problem


def parse_fleet(fleet: Any, *, canceled: bool = False) -> Deployment:
    """Raises BadComponent."""
    try:
        notice = fleet.get("componentUpdatePolicy") or {}
        validation = fleet.get("configurationValidationPolicy") or {}
        return Deployment(
            str(fleet["configurationArn"]),
            str(fleet.get("deploymentId", "")),
            {str(name): _component(each) for name, each in fleet["components"].items()},
            canceled,
            "DO_NOTHING" if fleet.get("failureHandlingPolicy") == "DO_NOTHING" else "ROLLBACK",
            notice.get("action") != "SKIP_NOTIFY_COMPONENTS",
            _seconds(notice.get("timeout"), 60.0),
            _seconds(validation.get("timeout"), 30.0),
            str(fleet.get("onBehalfOf") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadComponent(f"the deployment cannot be read: {problem!r}") from problem


def _seconds(given: Any, otherwise: float) -> float:
    return otherwise if given is None else float(given)


def _component(each: Mapping[str, Any]) -> dict[str, Any]:
    update = each.get("configurationUpdate") or {}
    merge, reset, run_with = update.get("merge"), update.get("reset"), each.get("runWith")
    return {
        "version": str(each["version"]),
        "merge": json.dumps(merge) if merge else None,
        **({"reset": [str(pointer) for pointer in reset]} if reset else {}),
        **({"runWith": dict(run_with)} if run_with else {}),
    }


def status_details(reason: str, detail: str | None, stack: Sequence[str]) -> dict[str, Any]:
    """How a deployment has ended, and why."""
    return {
        "detailedStatus": detail or None,
        "failureCause": reason or None,
        "errorStack": list(stack) or None,
        "errorTypes": list(types_of(stack)) or None,
    }


def reported(
    arn: str,
    status: Status | None,
    version: str,
    reason: str = "",
    detail: str | None = None,
    stack: Sequence[str] = (),
) -> dict[str, Any]:
    """``reported`` as a core writes it; a None removes what an earlier one left."""
    return {
        "ggcVersion": version,
        "fleetConfigurationArnForStatus": arn,
        "status": status,
        "statusDetails": status_details(reason, detail, stack),
        "components": None,  # which, with the platform, an earlier version of Littoral wrote
        "platform": None,
    }


@dataclass(frozen=True, slots=True)
class Report:
    """How a deployment stands on a core, as far as it can be read. A device writes what it likes into its shadow."""

    arn: str
    status: str
    reason: str
    stack: Sequence[str] = ()
    types: Sequence[str] = ()


def parse_reported(part: Mapping[str, Any]) -> Report:
    given = part.get("statusDetails")
    details = given if isinstance(given, dict) else {}
    return Report(
        _text(part.get("fleetConfigurationArnForStatus")),
        _text(part.get("status")),
        _text(details.get("failureCause")),
        read(details.get("errorStack")),
        read(details.get("errorTypes")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
