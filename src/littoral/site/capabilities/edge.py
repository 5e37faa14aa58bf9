"""Handed to the edge's API: the functions of triggers, and the buckets that CloudFront reads from and writes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.functions import Functions
from littoral.objects import Objects


class ImportedObjects:
    """For CloudFront: what a key-value store is filled from, and whether the bucket of access logs is there."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(self, bucket: str, key: str) -> bytes:
        return await self._objects.get_bytes(bucket, key)

    async def has(self, bucket: str) -> bool:
        return self._objects.has_bucket(bucket)


class EdgeFunctions:
    """For CloudFront: what a trigger's version asks for."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        name, version = arn.rsplit(":", 2)[1:]
        found = self._functions.describe(name, version)
        reserved, provisioned = self._functions.concurrency(name, version)
        return found and {**found, "ReservedConcurrency": reserved, "ProvisionedConcurrency": provisioned}
