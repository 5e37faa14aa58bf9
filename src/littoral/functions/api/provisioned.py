"""Provisioned concurrency of versions and aliases. Instances are kept warm; what is said of them is what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import PAGE, Operations, page, with_marker
from littoral.functions.names import LATEST, Reference, conflict, invalid, is_number
from littoral.functions.version import Function, aws_time


class ProvisionedOperations(Operations):
    @operation(notes="keeps instances warm; the slots themselves are not set aside")
    async def put_provisioned_concurrency_config(
        self, call: Call, *, function_name: str, qualifier: str, provisioned_concurrent_executions: int
    ) -> Output:
        count = provisioned_concurrent_executions
        if qualifier == LATEST:
            raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
        reference = self._published(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            version = self._catalog.version(reference)
            if version.version == LATEST:
                raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
            self._check_overlap(function, qualifier, version.version)
            self._check_count(function, qualifier, count)
            config = {"count": count, "LastModified": aws_time(call.now)}
            await self._catalog.save(replace(function, provisioned={**function.provisioned, qualifier: config}))
        self._parts.provisioner.changed()
        return self._allocation(reference, config)

    @operation()
    async def get_provisioned_concurrency_config(self, call: Call, *, function_name: str, qualifier: str) -> Output:
        reference = self._published(function_name, qualifier)
        config = self._catalog.get(reference.name).provisioned.get(qualifier)
        if config is None:
            raise ServiceError(
                "ProvisionedConcurrencyConfigNotFoundException",
                "No Provisioned Concurrency Config found for this function",
                status=404,
                fields={"Type": "User"},
            )
        return self._allocation(reference, config)

    @operation()
    async def delete_provisioned_concurrency_config(self, call: Call, *, function_name: str, qualifier: str) -> Output:
        """Succeeds when there is none, as AWS does."""
        reference = self._published(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            left = {each: config for each, config in function.provisioned.items() if each != qualifier}
            await self._catalog.save(replace(function, provisioned=left))
        self._parts.provisioner.changed()
        return {}

    @operation()
    async def list_provisioned_concurrency_configs(
        self, call: Call, *, function_name: str, marker: str | None = None, max_items: int = PAGE
    ) -> Output:
        function = self._catalog.get(self._unqualified(function_name).name)
        shown, following = page(sorted(function.provisioned), str, marker, min(max_items, PAGE))
        listed = [
            {
                "FunctionArn": self._home.arn(function.name, qualifier),
                **self._allocation(Reference(function.name, qualifier), function.provisioned[qualifier]),
            }
            for qualifier in shown
        ]
        return with_marker({"ProvisionedConcurrencyConfigs": listed}, following)

    def _published(self, function_name: str, qualifier: str) -> Reference:
        """Raises what a reference raises, and InvalidParameterValueException for what is not published."""
        reference = self._home.parse(function_name, qualifier)
        if reference.qualifier == LATEST:
            raise invalid("The function resource provided must be an alias or a published version.")
        self._named(reference)
        return reference

    def _check_overlap(self, function: Function, qualifier: str, version: str) -> None:
        for other in function.provisioned:
            if other == qualifier or other not in (*function.aliases, *map(str, function.versions)):
                continue
            if self._catalog.version(Reference(function.name, other)).version == version:
                raise conflict(
                    "Version is pointed by a Provisioned Concurrency alias"
                    if is_number(qualifier)
                    else "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned "
                    "version"
                )

    def _check_count(self, function: Function, qualifier: str, count: int) -> None:
        others = sum(each["count"] for name, each in function.provisioned.items() if name != qualifier)
        if function.reserved is not None:
            if count + others > function.reserved:
                raise invalid(
                    "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
                    "for function"
                )
            return
        slots = self._parts.scheduler.slots
        before = function.provisioned.get(qualifier, {}).get("count", 0)
        wanted = self._parts.provisioner.total() - before + count
        start = "Specified ConcurrentExecutions for function"
        if wanted > slots.unreserved:
            raise invalid(f"{start} is greater than account's unreserved concurrency [{slots.unreserved}].")
        if slots.unreserved - wanted < slots.floor:
            raise invalid(
                f"{start} decreases account's UnreservedConcurrentExecution below its minimum value of [{slots.floor}]."
            )

    def _allocation(self, reference: Reference, config: dict[str, Any]) -> Output:
        allocation = self._parts.provisioner.allocation(self._catalog.version(reference), config["count"])
        shown: Output = {
            "RequestedProvisionedConcurrentExecutions": allocation.requested,
            "AllocatedProvisionedConcurrentExecutions": allocation.allocated,
            "AvailableProvisionedConcurrentExecutions": allocation.available,
            "Status": allocation.status,
            "LastModified": config["LastModified"],
        }
        if allocation.status == "FAILED":
            shown["StatusReason"] = allocation.failure
        return shown
