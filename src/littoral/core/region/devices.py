"""Core devices as they tell of themselves: their health by the fleet status, their deployments by shadow and jobs."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.core.deploymenterrors import read
from littoral.core.document import STACK, TYPES, Report
from littoral.core.fleetstatus.message import Component, FleetStatus
from littoral.core.ports import DeploymentJobs, JobExecution
from littoral.core.region.names import listing, not_found, operators_only, page
from littoral.core.region.state import State, everything
from littoral.store.documents import Document

KIND = "coreDevice"
FINAL = {"SUCCEEDED": "COMPLETED", "FAILED": "FAILED"}
RUNTIME = "littoral"


class CoreDevices:
    def __init__(self, state: State, jobs: DeploymentJobs) -> None:
        self._state = state
        self._jobs = jobs

    async def record_health(self, thing: str, told: FleetStatus, now: float) -> None:
        """Take what a core says of itself and its components."""
        async with self._state.lock:
            known = await self._state.cores.get(thing) or {"components": []}
            before = {each["name"]: each for each in known["components"]}
            named = {each.name: _kept(each, told, before.get(each.name), now) for each in told.components}
            gone = set() if told.whole else {each.name for each in told.components if not (each.arns or each.root)}
            components = named if told.whole else {**before, **named}
            core = {
                "version": told.version,
                "status": "HEALTHY" if told.healthy else "UNHEALTHY",
                "components": [each for name, each in components.items() if name not in gone],
                "platform": {"os": told.platform, "architecture": told.architecture},
                "seen": now,
                "tags": known.get("tags", {}),
            }
            await self._state.cores.put(thing, core)

    async def record(self, thing: str, report: Report, now: float) -> None:
        """Take what a core reported of its deployment."""
        async with self._state.lock:
            target = await self._state.targets.get(thing)
            made = await self._state.deployments.get(target["deploymentId"]) if target else None
            if made is not None and made["arn"] == report.arn:
                await self._progress(made, report, now)

    async def _progress(self, made: Document, report: Report, now: float) -> None:
        status = report.status
        if made["status"] == "CANCELED" or status not in ("IN_PROGRESS", *FINAL) or status == made["execution"]:
            return
        made |= {"execution": status, "reason": report.reason, "modified": now, "status": FINAL.get(status, "ACTIVE")}
        made |= {"stack": list(report.stack), "types": list(report.types)}
        await self._state.deployments.put(made["deploymentId"], made)

    @operation()
    async def list_core_devices(
        self,
        call: Call,
        *,
        thing_group_arn: str | None = None,
        status: str | None = None,
        runtime: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        operators_only(call)
        within = None if thing_group_arn is None else set(self._jobs.things_in(thing_group_arn))
        rows = [
            (thing, _described(thing, core))
            for thing, core in await everything(self._state.cores)
            if status in (None, core["status"]) and runtime in (None, RUNTIME) and (within is None or thing in within)
        ]
        return listing("coreDevices", *page(rows, next_token, max_results))

    @operation()
    async def get_core_device(self, call: Call, *, core_device_thing_name: str) -> Output:
        operators_only(call)
        core = await self._core(core_device_thing_name)
        return {
            **_described(core_device_thing_name, core),
            "coreVersion": core["version"],
            "tags": core.get("tags", {}),
        }

    @operation()
    async def delete_core_device(self, call: Call, *, core_device_thing_name: str) -> Output:
        """What is known of it, and which client devices are its; its thing stays, and a core that tells of itself
        again is there again."""
        operators_only(call)
        async with self._state.lock:
            if not await self._state.cores.delete(core_device_thing_name):
                raise not_found(core_device_thing_name, KIND)
            for key, _ in await everything(self._state.associations, f"{core_device_thing_name}/"):
                await self._state.associations.delete(key)
        return {}

    @operation()
    async def list_installed_components(
        self,
        call: Call,
        *,
        core_device_thing_name: str,
        topology_filter: str = "ROOT",
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        """ROOT: what deployments name; ALL: what these depend on, too."""
        operators_only(call)
        core = await self._core(core_device_thing_name)
        rows = [
            (
                each["name"],
                {
                    "componentName": each["name"],
                    "componentVersion": each["version"],
                    "lifecycleState": each["state"],
                    "isRoot": each.get("root", True),
                    "lastReportedTimestamp": each.get("seen", core["seen"]),
                    "lastStatusChangeTimestamp": each.get("since", core["seen"]),
                    "lifecycleStatusCodes": each.get("codes", []),
                    **({"lifecycleStateDetails": each["reason"]} if each.get("reason") else {}),
                    **({"lastInstallationSource": each["source"]} if each.get("source") else {}),
                },
            )
            for each in core["components"]
            if topology_filter == "ALL" or each.get("root", True)
        ]
        return listing("installedComponents", *page(rows, next_token, max_results))

    @operation()
    async def list_effective_deployments(
        self,
        call: Call,
        *,
        core_device_thing_name: str,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        """Its own latest, and those of its groups that were sent to it as jobs; the newest first."""
        operators_only(call)
        target = await self._state.targets.get(core_device_thing_name)
        made = await self._state.deployments.get(target["deploymentId"]) if target else None
        found = [_effective(made)] if made is not None else []
        for execution in self._jobs.executions(core_device_thing_name):
            of_group = await self._state.deployments.get(execution.job)
            if of_group is not None:
                found.append({**_of_job(of_group, execution), "iotJobArn": self._jobs.arn(execution.job)})
        if not found:
            await self._core(core_device_thing_name)
        found.sort(key=lambda each: float(each["creationTimestamp"]), reverse=True)
        rows = [(str(each["deploymentId"]), each) for each in found]
        return listing("effectiveDeployments", *page(rows, next_token, max_results))

    async def _core(self, thing: str) -> Document:
        found = await self._state.cores.get(thing)
        if found is None:
            raise not_found(thing, KIND)
        return found


def _kept(each: Component, told: FleetStatus, before: Document | None, now: float) -> Document:
    """What is kept of a component: since when it is in its state, and which deployment was the last to bring it."""
    same = before is not None and (before["state"], before["version"]) == (each.state, each.version)
    source = told.source if told.source and told.arn in each.arns else (before or {}).get("source", "")
    return {
        "name": each.name,
        "version": each.version,
        "state": each.state,
        "root": each.root,
        "codes": list(each.codes),
        "reason": each.reason,
        "source": source,
        "since": before.get("since", now) if same and before is not None else now,
        "seen": now,
    }


def _described(thing: str, core: Document) -> dict[str, Any]:
    return {
        "coreDeviceThingName": thing,
        "status": core["status"],
        "lastStatusUpdateTimestamp": core["seen"],
        "platform": core["platform"].get("os", ""),
        "architecture": core["platform"].get("architecture", ""),
        "runtime": RUNTIME,
    }


def _of_job(made: Document, execution: JobExecution) -> dict[str, Any]:
    """A group's deployment as it stands on one core."""
    reason = execution.details.get("deployment-failure-cause", "")
    own = {"execution": execution.status, "reason": reason, "modified": execution.updated}
    own |= {"stack": read(execution.details.get(STACK)), "types": read(execution.details.get(TYPES))}
    return {**_effective({**made, **own}), "iotJobId": execution.job}


def _effective(made: Document) -> dict[str, Any]:
    return {
        "deploymentId": made["deploymentId"],
        "deploymentName": made["deploymentName"],
        "targetArn": made["targetArn"],
        "coreDeviceExecutionStatus": made["execution"],
        **({"reason": made["reason"]} if made["reason"] else {}),
        "creationTimestamp": made["created"],
        "modifiedTimestamp": made["modified"],
        **({"statusDetails": {"errorStack": made["stack"], "errorTypes": made["types"]}} if made.get("stack") else {}),
    }
