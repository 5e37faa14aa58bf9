"""Deployments to things: checked as a whole, kept, delivered by the thing's deployment shadow."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.core import document as wire
from littoral.core.ports import Shadows
from littoral.core.public import PUBLIC
from littoral.core.recipe import LAMBDA, BadComponent, component_of, parse_merge
from littoral.core.region.names import (
    conflict,
    invalid,
    listing,
    not_found,
    operators_only,
    page,
    parse_thing,
)
from littoral.core.region.state import State, everything
from littoral.store.documents import Document

KIND = "deployment"
OPEN = ("QUEUED", "IN_PROGRESS")


class Deployments:
    def __init__(self, state: State, shadows: Shadows) -> None:
        self._state = state
        self._shadows = shadows

    async def deliver_pending(self) -> None:
        """Tell the shadows what a crash kept from them. At the start of the place."""
        for thing, target in await everything(self._state.targets):
            if not target["delivered"]:
                found = await self._state.deployments.get(target["deploymentId"])
                if found is not None:
                    await self._deliver(thing, target, found)

    @operation(
        notes="targets: things; components: this account's, and of AWS's public ones those a core plays by itself; "
        "failureHandlingPolicy ROLLBACK; the other policies speak of notices and timeouts that a Littoral core has no "
        "use for"
    )
    async def create_deployment(
        self,
        call: Call,
        *,
        target_arn: str,
        deployment_name: str | None = None,
        components: Mapping[str, Mapping[str, Any]] | None = None,
        deployment_policies: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        client_token: str | None = None,
    ) -> Output:
        operators_only(call)
        thing = parse_thing(target_arn)
        if (deployment_policies or {}).get("failureHandlingPolicy", "ROLLBACK") != "ROLLBACK":
            raise invalid("failureHandlingPolicy: Littoral's cores always go back to what ran before (ROLLBACK)")
        kept = await self._components(components or {})
        facts = {
            "targetArn": target_arn,
            "thing": thing,
            "deploymentName": deployment_name or "",
            "components": kept,
            "policies": dict(deployment_policies or {}),
            "tags": dict(tags or {}),
            "created": call.now,
            "modified": call.now,
            "status": "ACTIVE",
            "execution": "QUEUED",
            "reason": "",
        }
        async with self._state.lock:
            return await self._state.once(client_token, lambda: self._create_deployment(call, thing, facts))

    async def _create_deployment(self, call: Call, thing: str, facts: Document) -> Output:
        before = await self._state.targets.get(thing)
        revision = (before or {}).get("revision", 0) + 1
        deployment_id = str(uuid.uuid4())
        arn = f"arn:aws:greengrass:{call.region}:{call.account}:configuration:thing/{thing}:{revision}"
        made = {**facts, "deploymentId": deployment_id, "revision": revision, "arn": arn}
        target = {"deploymentId": deployment_id, "revision": revision, "delivered": False}
        await self._state.deployments.put(deployment_id, made, expect=0)
        await self._state.targets.put(thing, target)
        try:
            await self._deliver(thing, target, made)
        except ServiceError:
            if before is None:
                await self._state.targets.delete(thing)
            else:
                await self._state.targets.put(thing, before)
            await self._state.deployments.delete(deployment_id)
            raise
        return {"deploymentId": deployment_id}

    async def _deliver(self, thing: str, target: Document, made: Document) -> None:
        deployment = wire.Deployment(
            made["arn"], made["deploymentId"], made["components"], canceled=made["status"] == "CANCELED"
        )
        await self._shadows.update(thing, wire.SHADOW, wire.desired(deployment))
        await self._state.targets.put(thing, {**target, "delivered": True})

    async def _components(self, components: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """As they are kept: {name: {"version", "merge"}}. Raises ValidationException, ResourceNotFoundException."""
        kept: dict[str, dict[str, Any]] = {}
        functions: set[str] = set()
        for name, wanted in components.items():
            update = wanted.get("configurationUpdate") or {}
            if update.get("reset") or wanted.get("runWith"):
                raise invalid(f"{name}: configurationUpdate.reset and runWith are not served by Littoral yet")
            try:
                function = await self._check(name, wanted["componentVersion"], update.get("merge"))
            except BadComponent as problem:
                raise invalid(str(problem)) from problem
            if function in functions:
                raise invalid(f"Two components of the function {function} in one deployment are not served by Littoral")
            functions.update([function] if function is not None else [])
            kept[name] = {"version": wanted["componentVersion"], "merge": update.get("merge")}
        return kept

    async def _check(self, name: str, version: str, merge: str | None) -> str | None:
        """The function of a Lambda component; None for any other."""
        if name in PUBLIC:
            PUBLIC[name].configured(merge)
            return None
        if name.startswith("aws."):
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
        components = {
            name: {
                "componentVersion": each["version"],
                **({"configurationUpdate": {"merge": each["merge"]}} if each["merge"] else {}),
            }
            for name, each in made["components"].items()
        }
        return {
            **await self._summary(made),
            "components": components,
            "deploymentPolicies": made["policies"],
            "tags": made["tags"],
        }

    @operation()
    async def list_deployments(
        self,
        call: Call,
        *,
        target_arn: str | None = None,
        history_filter: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        """Newest first; the latest of each target, unless historyFilter is ALL."""
        operators_only(call)
        found = [made for _, made in await everything(self._state.deployments)]
        rows = []
        for made in sorted(found, key=lambda each: (each["created"], each["deploymentId"]), reverse=True):
            summary = await self._summary(made)
            wanted = target_arn in (None, made["targetArn"])
            if wanted and (history_filter == "ALL" or summary["isLatestForTarget"]):
                rows.append((made["deploymentId"], summary))
        return listing("deployments", *page(rows, next_token, max_results))

    @operation()
    async def cancel_deployment(self, call: Call, *, deployment_id: str) -> Output:
        """A core that has not begun it will not; what runs stays."""
        operators_only(call)
        async with self._state.lock:
            made = await self._deployment(deployment_id)
            if made["status"] != "ACTIVE":
                raise conflict(f"The deployment is {made['status']}", deployment_id, KIND)
            made |= {"status": "CANCELED", "execution": "CANCELED", "modified": call.now}
            await self._state.deployments.put(deployment_id, made)
            target = await self._state.targets.get(made["thing"])
            if target is not None and target["deploymentId"] == deployment_id:
                await self._deliver(made["thing"], target, made)
        return {"message": "The deployment was canceled"}

    async def _deployment(self, deployment_id: str) -> Document:
        found = await self._state.deployments.get(deployment_id)
        if found is None:
            raise not_found(deployment_id, KIND)
        return found

    async def _summary(self, made: Document) -> dict[str, Any]:
        target = await self._state.targets.get(made["thing"]) or {}
        return {
            "targetArn": made["targetArn"],
            "revisionId": str(made["revision"]),
            "deploymentId": made["deploymentId"],
            **({"deploymentName": made["deploymentName"]} if made["deploymentName"] else {}),
            "creationTimestamp": made["created"],
            "deploymentStatus": made["status"],
            "isLatestForTarget": target.get("deploymentId") == made["deploymentId"],
        }
