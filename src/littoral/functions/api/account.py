"""Reserved concurrency, account settings, and the (absent) code signing of a function."""

from __future__ import annotations

from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.functions import validation
from littoral.functions.api.parts import Operations
from littoral.functions.code import MAX_UNPACKED, MAX_ZIP
from littoral.functions.names import LATEST, Reference, invalid


class AccountOperations(Operations):
    @operation()
    async def put_function_concurrency(
        self, call: Call, *, function_name: str, reserved_concurrent_executions: int
    ) -> Output:
        count = reserved_concurrent_executions
        if count < 0:
            raise validation.validation_error(count, "reservedConcurrentExecutions", "Member must have value >= 0")
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            self._catalog.version(Reference(reference.name, LATEST))
            function = self._catalog.get(reference.name)
            slots = self._parts.scheduler.slots
            provisioned = sum(each["count"] for each in function.provisioned.values())
            if count < provisioned:
                raise invalid(
                    f" ReservedConcurrentExecutions  {count} should not be lower than function's total provisioned "
                    f"concurrency [{provisioned}]."
                )
            if slots.unreserved + (function.reserved or 0) - count < slots.floor:
                raise invalid(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{slots.floor}]."
                )
            await self._catalog.save(replace(function, reserved=count))
            slots.reserve(reference.name, count)
        return {"ReservedConcurrentExecutions": count}

    @operation()
    async def get_function_concurrency(self, call: Call, *, function_name: str) -> Output:
        reserved = self._catalog.get(self._unqualified(function_name).name).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    @operation()
    async def delete_function_concurrency(self, call: Call, *, function_name: str) -> Output:
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            await self._catalog.save(replace(function, reserved=None))
            self._parts.scheduler.slots.reserve(reference.name, None)
        return {}

    @operation()
    async def get_account_settings(self, call: Call) -> Output:
        return {
            "AccountLimit": {
                "TotalCodeSize": self._parts.settings.code_storage,
                "CodeSizeUnzipped": MAX_UNPACKED,
                "CodeSizeZipped": MAX_ZIP,
                "ConcurrentExecutions": self._parts.scheduler.slots.total,
                "UnreservedConcurrentExecutions": self._parts.scheduler.slots.unreserved,
            },
            "AccountUsage": {"TotalCodeSize": self._code_size(), "FunctionCount": len(self._catalog.names())},
        }

    @operation(notes="there is no code signing: the configuration is always none")
    async def get_function_code_signing_config(self, call: Call, *, function_name: str) -> Output:
        function = self._catalog.get(self._unqualified(function_name).name)
        return {"CodeSigningConfigArn": "", "FunctionName": function.name}

    @operation(
        notes="Terminate ends a chain of functions, by destinations or calls with their X-Ray header, after 16 steps; "
        "Allow lets it go on"
    )
    async def put_function_recursion_config(self, call: Call, *, function_name: str, recursive_loop: str) -> Output:
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            await self._catalog.save(replace(function, recursive_loop=recursive_loop))
        return {"RecursiveLoop": recursive_loop}

    @operation()
    async def get_function_recursion_config(self, call: Call, *, function_name: str) -> Output:
        return {"RecursiveLoop": self._catalog.get(self._unqualified(function_name).name).recursive_loop}

    @operation(notes="Auto only: a function runs on the interpreter that the machine has, none is pinned")
    async def put_runtime_management_config(
        self,
        call: Call,
        *,
        function_name: str,
        update_runtime_on: str,
        qualifier: str | None = None,
        runtime_version_arn: str | None = None,
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        self._catalog.version(reference)
        if update_runtime_on != "Manual" and runtime_version_arn:
            raise invalid("RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual")
        if update_runtime_on != "Auto":
            raise invalid(
                f"UpdateRuntimeOn {update_runtime_on} is not served by Littoral: a function runs on the runtime that "
                "the machine has"
            )
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": self._home.arn(reference.name, reference.qualifier)}

    @operation()
    async def get_runtime_management_config(
        self, call: Call, *, function_name: str, qualifier: str | None = None
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        self._catalog.version(reference)
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": self._home.arn(reference.name, reference.qualifier)}
