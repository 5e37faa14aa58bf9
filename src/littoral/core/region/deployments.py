"""Deployments: checked as a whole, kept, delivered; to a thing by its deployment shadow, to a group as a job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.core import document as wire
from littoral.core.nucleus.limits import limits_of
from littoral.core.ports import DeploymentJobs, Shadows
from littoral.core.public import PUBLIC
from littoral.core.recipe import LAMBDA, BadComponent, component_of, is_aws, parse_merge
from littoral.core.region.names import (
    Target,
    conflict,
    invalid,
    listing,
    not_found,
    operators_only,
    page,
    parse_target,
)
from littoral.core.region.state import State, everything
from littoral.core.region.tags import checked_tags
from littoral.store.documents import Document

KIND = "deployment"
NAMESPACE = "aws-gg-deployment"  # of the jobs, AWS's own
MOST_BYTES = 64 * 1024  # of a deployment's document, which travels as one message


class Deployments:
    def __init__(self, state: State, shadows: Shadows, jobs: DeploymentJobs) -> None:
        self._state = state
        self._shadows = shadows
        self._jobs = jobs

    async def deliver_pending(self) -> None:
        """Tell shadows and jobs what a crash kept from them. At the start of the place."""
        for key, target in await everything(self._state.targets):
            if not target["delivered"]:
                found = await self._state.deployments.get(target["deploymentId"])
                if found is not None:
                    await self._deliver(key, target, found)

    @operation(
        notes="components: this account's, and of AWS's public ones those a core plays by itself; iotJobConfiguration "
        "and parentTargetArn: with thing groups only; runWith: the core's own user, limits on memory and cpus"
    )
    async def create_deployment(
        self,
        call: Call,
        *,
        target_arn: str,
        deployment_name: str | None = None,
        components: Mapping[str, Mapping[str, Any]] | None = None,
        deployment_policies: Mapping[str, Any] | None = None,
        iot_job_configuration: Mapping[str, Any] | None = None,
        parent_target_arn: str | None = None,
        tags: Mapping[str, str] | None = None,
        client_token: str | None = None,
    ) -> Output:
        operators_only(call)
        target = parse_target(target_arn)
        if not target.group and (iot_job_configuration or parent_target_arn):
            raise invalid("iotJobConfiguration and parentTargetArn go with deployments to thing groups")
        if parent_target_arn and not parse_target(parent_target_arn).group:
            raise invalid("parentTargetArn must be the ARN of a thing group")
        facts = {
            "targetArn": target_arn,
            "target": target.key,
            "deploymentName": deployment_name or "",
            "components": await self._components(components or {}),
            "policies": _policies(deployment_policies or {}),
            "jobConfiguration": dict(iot_job_configuration or {}),
            "parent": parent_target_arn or "",
            "tags": checked_tags(tags or {}),
            "created": call.now,
            "modified": call.now,
            "status": "ACTIVE",
            "execution": "QUEUED",
            "reason": "",
        }
        async with self._state.lock:
            return await self._state.once(client_token, lambda: self._create_deployment(call, target, facts))

    async def _create_deployment(self, call: Call, target: Target, facts: Document) -> Output:
        before = await self._state.targets.get(target.key)
        revision = (before or {}).get("revision", 0) + 1
        deployment_id = str(uuid.uuid4())
        arn = f"arn:aws:greengrass:{call.region}:{call.account}:configuration:{target.resource}:{revision}"
        made = {**facts, "deploymentId": deployment_id, "revision": revision, "arn": arn}
        if len(json.dumps(wire.fleet_config(_wired(made)))) > MOST_BYTES:
            raise invalid(f"A deployment has at most {MOST_BYTES} bytes, configurations included")
        latest = {
            "deploymentId": deployment_id,
            "revision": revision,
            "delivered": False,
            "before": (before or {}).get("deploymentId", ""),
        }
        await self._state.deployments.put(deployment_id, made, expect=0)
        await self._state.targets.put(target.key, latest)
        try:
            await self._deliver(target.key, latest, made)
        except ServiceError:
            if before is None:
                await self._state.targets.delete(target.key)
            else:
                await self._state.targets.put(target.key, before)
            await self._state.deployments.delete(deployment_id)
            raise
        return {"deploymentId": deployment_id, **self._job(made)}

    async def _deliver(self, key: str, target: Document, made: Document) -> None:
        deployment = _wired(made)
        if not _grouped(made):
            await self._shadows.update(key, wire.SHADOW, wire.desired(deployment))
        elif not deployment.canceled:
            text = json.dumps(wire.fleet_config(deployment))
            job, configuration = made["deploymentId"], made["jobConfiguration"]
            await self._jobs.create(job, NAMESPACE, made["targetArn"], text, configuration, made["created"])
            if target["before"]:
                await self._jobs.cancel(target["before"], made["created"])
        else:
            await self._jobs.cancel(made["deploymentId"], made["modified"])
        await self._state.targets.put(key, {**target, "delivered": True})

    def _job(self, made: Document) -> dict[str, str]:
        """A group's deployment and its job have the same id."""
        if not _grouped(made):
            return {}
        return {"iotJobId": made["deploymentId"], "iotJobArn": self._jobs.arn(made["deploymentId"])}

    async def _components(self, components: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """As they are kept. Raises ValidationException, ResourceNotFoundException."""
        kept: dict[str, dict[str, Any]] = {}
        functions: set[str] = set()
        for name, wanted in components.items():
            update, run_with = wanted.get("configurationUpdate") or {}, wanted.get("runWith") or {}
            try:
                _check_update(name, update, run_with)
                function = await self._check(name, wanted["componentVersion"], update.get("merge"))
            except BadComponent as problem:
                raise invalid(str(problem)) from problem
            if run_with and (name in PUBLIC or function is not None):
                raise invalid(f"{name}: runWith is for programs: components of a recipe of one's own")
            if function in functions:
                raise invalid(f"Two components of the function {function} in one deployment are not served by Littoral")
            functions.update([function] if function is not None else [])
            kept[name] = {
                "version": wanted["componentVersion"],
                "merge": update.get("merge"),
                **({"reset": list(update["reset"])} if update.get("reset") else {}),
                **({"runWith": run_with} if run_with else {}),
            }
        return kept

    async def _check(self, name: str, version: str, merge: str | None) -> str | None:
        """The function of a Lambda component; None for any other."""
        if name in PUBLIC:
            PUBLIC[name].configured(merge)
            return None
        if is_aws(name):
            raise invalid(f"{name} is not served by Littoral; of AWS's public components {', '.join(PUBLIC)} are")
        document = await self._state.components.get(f"{name}/{version}")
        if document is None:
            raise not_found(f"{name} {version}", "component")
        recipe = document["recipe"]
        if recipe.get("ComponentType") != LAMBDA:
            parse_merge(merge)
            return None
        return component_of(recipe, merge).function

    @operation()
    async def get_deployment(self, call: Call, *, deployment_id: str) -> Output:
        operators_only(call)
        made = await self._deployment(deployment_id)
        shown = {
            **await self._summary(made),
            **self._job(made),
            "components": {name: _shown(each) for name, each in made["components"].items()},
            "deploymentPolicies": made["policies"],
            "tags": made["tags"],
        }
        return {**shown, "iotJobConfiguration": made["jobConfiguration"]} if _grouped(made) else shown

    @operation()
    async def list_deployments(
        self,
        call: Call,
        *,
        target_arn: str | None = None,
        history_filter: str | None = None,
        parent_target_arn: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        """Newest first; the latest of each target, unless historyFilter is ALL."""
        operators_only(call)
        found = [made for _, made in await everything(self._state.deployments)]
        rows = []
        for made in sorted(found, key=lambda each: (each["created"], each["deploymentId"]), reverse=True):
            summary = await self._summary(made)
            wanted = target_arn in (None, made["targetArn"]) and parent_target_arn in (None, made.get("parent"))
            if wanted and (history_filter == "ALL" or summary["isLatestForTarget"]):
                rows.append((made["deploymentId"], summary))
        return listing("deployments", *page(rows, next_token, max_results))

    @operation()
    async def cancel_deployment(self, call: Call, *, deployment_id: str) -> Output:
        """A core that has not begun it will not; what runs stays."""
        operators_only(call)
        async with self._state.lock:
            made = await self._deployment(deployment_id)
            status = (await self._summary(made))["deploymentStatus"]
            if status != "ACTIVE":
                raise conflict(f"The deployment is {status}", deployment_id, KIND)
            made |= {"status": "CANCELED", "execution": "CANCELED", "modified": call.now}
            await self._state.deployments.put(deployment_id, made)
            target = await self._state.targets.get(_key(made))
            if target is not None:
                await self._deliver(_key(made), target, made)
        return {"message": "The deployment was canceled"}

    @operation()
    async def delete_deployment(self, call: Call, *, deployment_id: str) -> Output:
        """One that is over. What it brought to cores stays there."""
        operators_only(call)
        async with self._state.lock:
            made = await self._deployment(deployment_id)
            status = (await self._summary(made))["deploymentStatus"]
            if status == "ACTIVE":
                raise conflict("The deployment is ACTIVE: cancel it first", deployment_id, KIND)
            await self._state.deployments.delete(deployment_id)
        return {}

    async def _deployment(self, deployment_id: str) -> Document:
        found = await self._state.deployments.get(deployment_id)
        if found is None:
            raise not_found(deployment_id, KIND)
        return found

    async def _summary(self, made: Document) -> dict[str, Any]:
        target = await self._state.targets.get(_key(made)) or {}
        latest = target.get("deploymentId") == made["deploymentId"]
        return {
            "targetArn": made["targetArn"],
            "revisionId": str(made["revision"]),
            "deploymentId": made["deploymentId"],
            **({"deploymentName": made["deploymentName"]} if made["deploymentName"] else {}),
            **({"parentTargetArn": made["parent"]} if made.get("parent") else {}),
            "creationTimestamp": made["created"],
            "deploymentStatus": self._status(made, latest),
            "isLatestForTarget": latest,
        }

    def _status(self, made: Document, latest: bool) -> str:
        """INACTIVE is one whose place a later one took; of a group all cores, and an abort, have their say."""
        status = str(made["status"])
        if status == "ACTIVE" and not latest:
            return "INACTIVE"
        if status == "ACTIVE" and _grouped(made):
            return {"CANCELED": "CANCELED", "COMPLETED": "COMPLETED"}.get(
                self._jobs.status(made["deploymentId"]) or "", status
            )
        return status


def _wired(made: Document) -> wire.Deployment:
    policies = made["policies"]
    notice = policies.get("componentUpdatePolicy") or {}
    validation = policies.get("configurationValidationPolicy") or {}
    return wire.Deployment(
        made["arn"],
        made["deploymentId"],
        made["components"],
        canceled=made["status"] == "CANCELED",
        failure=policies.get("failureHandlingPolicy", "ROLLBACK"),
        notify=notice.get("action", "NOTIFY_COMPONENTS") == "NOTIFY_COMPONENTS",
        notify_timeout=float(notice.get("timeoutInSeconds", 60)),
        validation_timeout=float(validation.get("timeoutInSeconds", 30)),
        behalf=made.get("parent", ""),
    )


def _policies(given: Mapping[str, Any]) -> dict[str, Any]:
    """With AWS's defaults. Raises ValidationException."""
    notice, validation = given.get("componentUpdatePolicy") or {}, given.get("configurationValidationPolicy") or {}
    for name, policy in (("componentUpdatePolicy", notice), ("configurationValidationPolicy", validation)):
        if policy.get("timeoutInSeconds", 0) < 0:
            raise invalid(f"{name}.timeoutInSeconds must not be negative")
    return {
        "failureHandlingPolicy": given.get("failureHandlingPolicy", "ROLLBACK"),
        "componentUpdatePolicy": {"timeoutInSeconds": 60, "action": "NOTIFY_COMPONENTS", **notice},
        "configurationValidationPolicy": {"timeoutInSeconds": 30, **validation},
    }


def _key(made: Document) -> str:
    return str(made.get("target") or made["thing"])


def _grouped(made: Document) -> bool:
    return _key(made).startswith("thinggroup/")


def _check_update(name: str, update: Mapping[str, Any], run_with: Mapping[str, Any]) -> None:
    """Raises ValidationException."""
    for pointer in update.get("reset") or ():
        if pointer and not pointer.startswith("/"):
            raise invalid(f"{name}: {pointer!r} of configurationUpdate.reset is no JSON pointer")
    if "windowsUser" in run_with:
        raise invalid(f"{name}: Littoral's cores run on Linux, without a windowsUser")
    limits_of(name, run_with)


def _shown(each: Mapping[str, Any]) -> dict[str, Any]:
    update = {
        **({"merge": each["merge"]} if each.get("merge") else {}),
        **({"reset": each["reset"]} if each.get("reset") else {}),
    }
    return {
        "componentVersion": each["version"],
        **({"configurationUpdate": update} if update else {}),
        **({"runWith": each["runWith"]} if each.get("runWith") else {}),
    }
