"""Handed to the region's Greengrass: the shadows and jobs that carry deployments, and what components consist of."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from littoral.aws.identity import AccessKey
from littoral.aws.service import Call, ServiceError
from littoral.core.ports import JobExecution
from littoral.functions import Functions
from littoral.objects import Objects
from littoral.protocols.shadow import ShadowError
from littoral.site.capabilities.links import presigned
from littoral.things.facade import Things


class DeploymentShadows:
    """For Greengrass: the named shadow that carries a thing's deployment."""

    def __init__(self, things: Things) -> None:
        self._things = things

    async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
        try:
            await self._things.shadows.update(thing, shadow_name, {"desired": dict(desired)})
        except ShadowError as problem:
            raise ServiceError("ConflictException", str(problem), status=409) from problem


class GroupDeployments:
    """For Greengrass: deployments to thing groups are jobs."""

    def __init__(self, things: Things) -> None:
        self._jobs = things.place_jobs
        self.cancel = self._jobs.cancel
        self.status = self._jobs.status
        self.arn = self._jobs.arn
        self.groups_of = self._jobs.groups_of
        self.things_in = self._jobs.things_in
        self.is_thing = self._jobs.is_thing

    async def create(
        self, job_id: str, namespace: str, group: str, document: str, configuration: Mapping[str, Any], now: float
    ) -> None:
        try:
            await self._jobs.create(job_id, namespace, group, document, configuration, now)
        except ServiceError as problem:
            if problem.code == "InvalidRequestException":
                raise ServiceError("ValidationException", problem.message, status=400) from problem
            raise

    def executions(self, thing: str) -> list[JobExecution]:
        found = self._jobs.executions(thing)
        return [JobExecution(one.job, one.status, one.details, one.queued, one.updated) for one in found]


class ComponentFunctions:
    """For Greengrass: a Lambda component is made of a function of the region."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def describe(self, call: Call, lambda_arn: str) -> Mapping[str, Any]:
        found = await self._functions.api.get_function(call, **_named(lambda_arn))
        configuration: Mapping[str, Any] = found["Configuration"]
        return configuration

    async def code_url(self, call: Call, lambda_arn: str) -> str:
        found = await self._functions.api.get_function(call, **_named(lambda_arn))
        return str(found["Code"]["Location"])

    async def layers(self, call: Call, lambda_arn: str) -> list[tuple[str, str]]:
        return self._functions.layers_of(lambda_arn, call.base_url)


class ComponentObjects:
    """For Greengrass: artifacts of recipes lie in the region's buckets."""

    def __init__(self, objects: Objects, key: AccessKey) -> None:
        self._objects = objects
        self._key = key

    async def sha256(self, bucket: str, key: str) -> str:
        digest = hashlib.sha256()
        async for chunk in self._objects.chunks(bucket, key):
            digest.update(chunk)
        return base64.b64encode(digest.digest()).decode()

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        async for chunk in self._objects.chunks(bucket, key):
            yield chunk

    def url(self, call: Call, bucket: str, key: str) -> str:
        """On the port that the caller uses, so that a core needs no other one."""
        return presigned(call.base_url, bucket, key, 3600, self._key, call.region)


def _named(lambda_arn: str) -> dict[str, str]:
    """Function name and qualifier of a version's ARN."""
    head, _, qualifier = lambda_arn.rpartition(":")
    return {"function_name": head, "qualifier": qualifier}
