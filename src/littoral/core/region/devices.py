"""Core devices as they report themselves in their deployment shadows."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.core.document import Report
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

    async def record(self, thing: str, report: Report, now: float) -> None:
        """Take what a core reported: its health, its components, the outcome of its deployment."""
        broken = any(each["state"] == "BROKEN" for each in report.components)
        core = {
            "version": report.version,
            "status": "UNHEALTHY" if broken else "HEALTHY",
            "components": [dict(each) for each in report.components],
            "platform": {"os": report.os, "architecture": report.architecture},
            "seen": now,
        }
        async with self._state.lock:
            await self._state.cores.put(thing, core)
            target = await self._state.targets.get(thing)
            made = await self._state.deployments.get(target["deploymentId"]) if target else None
            if made is not None and made["arn"] == report.arn:
                await self._progress(made, report, now)

    async def _progress(self, made: Document, report: Report, now: float) -> None:
        status = report.status
        if made["status"] == "CANCELED" or status not in ("IN_PROGRESS", *FINAL) or status == made["execution"]:
            return
        made |= {"execution": status, "reason": report.reason, "modified": now, "status": FINAL.get(status, "ACTIVE")}
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
        return {**_described(core_device_thing_name, core), "coreVersion": core["version"], "tags": {}}

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
                    "lastReportedTimestamp": core["seen"],
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
    }
