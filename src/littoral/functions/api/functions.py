"""CreateFunction, GetFunction, GetFunctionConfiguration, ListFunctions, DeleteFunction."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.functions import validation
from littoral.functions.api.parts import PAGE, page, with_marker
from littoral.functions.api.settings import Given, SettingsOperations
from littoral.functions.names import LATEST, Reference, conflict, invalid, is_number
from littoral.functions.version import Function, FunctionVersion, aws_time, new_revision
from littoral.store.contract import Conflict


class FunctionOperations(SettingsOperations):
    @operation(
        notes="zip packages only; VpcConfig, FileSystemConfigs and KMSKeyArn are refused; DeadLetterConfig takes "
        "streams and IoT topics; SnapStart and active tracing are accepted without effect; a function of another "
        "Architectures than the machine's runs as far as nothing in it is native, and its log says so"
    )
    async def create_function(
        self,
        call: Call,
        *,
        function_name: str,
        role: str,
        code: dict[str, Any],
        runtime: str | None = None,
        handler: str | None = None,
        description: str = "",
        timeout: int = 3,
        memory_size: int = 128,
        publish: bool = False,
        environment: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        architectures: list[str] | None = None,
        ephemeral_storage: dict[str, Any] | None = None,
        package_type: str = "Zip",
        tracing_config: dict[str, Any] | None = None,
        vpc_config: dict[str, Any] | None = None,
        layers: list[str] | None = None,
        file_system_configs: list[dict[str, Any]] | None = None,
        dead_letter_config: dict[str, Any] | None = None,
        kms_key_arn: str | None = None,
        snap_start: dict[str, Any] | None = None,
        logging_config: dict[str, Any] | None = None,
    ) -> Output:
        reference = self._home.parse(function_name)
        if reference.qualifier is not None:
            raise invalid("A function is created without a qualifier")
        validation.check_configuration(
            role=role,
            handler=handler,
            description=description,
            timeout=timeout,
            memory_size=memory_size,
            ephemeral_storage=ephemeral_storage,
            PackageType=package_type,
            VpcConfig=vpc_config,
            FileSystemConfigs=file_system_configs,
            KMSKeyArn=kms_key_arn,
        )
        validation.check_tags(tags)
        variables = validation.environment_of(environment)
        if runtime is None or handler is None:
            raise invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        await self._parts.runtimes.check(runtime, handler)
        given = Given(layers, dead_letter_config, tracing_config, snap_start, logging_config or {})
        changes = self._settings(reference.name, runtime, given)
        async with self._catalog.lock(reference.name):
            if self._catalog.find(reference.name) is not None:
                raise conflict(f"Function already exist: {reference.name}")
            stored = await self._code_of(code)
            await self._check_sizes(stored.code_key, changes.get("layers", ()))
            latest = FunctionVersion(
                name=reference.name,
                version=LATEST,
                runtime=runtime,
                handler=handler,
                role=role,
                code_sha256=stored.sha256,
                code_size=stored.size,
                revision_id=new_revision(),
                last_modified=aws_time(call.now),
                description=description,
                timeout=timeout,
                memory_size=memory_size,
                ephemeral_storage=(ephemeral_storage or {}).get("Size", 512),
                environment=variables,
                architectures=validation.architectures_of(architectures),
                **changes,
            )
            function = Function(reference.name, str(uuid.uuid4()), latest, tags=dict(tags or {}))
            return await self._create(function, publish, call.now)

    @operation()
    async def get_function(self, call: Call, *, function_name: str, qualifier: str | None = None) -> Output:
        reference = self._home.parse(function_name, qualifier)
        version = self._catalog.version(reference)
        function = self._catalog.get(reference.name)
        shown: Output = {
            "Configuration": self._configuration(reference, version),
            "Code": {
                "RepositoryType": "S3",
                "Location": call.base_url + self._parts.sign_code_url(version, call.now),
            },
        }
        if function.tags:
            shown["Tags"] = dict(function.tags)
        if function.reserved is not None:
            shown["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return shown

    @operation()
    async def get_function_configuration(
        self, call: Call, *, function_name: str, qualifier: str | None = None
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        return self._configuration(reference, self._catalog.version(reference))

    @operation(notes="MasterRegion other than ALL is refused: there is no replication of functions")
    async def list_functions(
        self,
        call: Call,
        *,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int = PAGE,
        master_region: str | None = None,
    ) -> Output:
        if master_region not in (None, "ALL"):
            raise invalid("MasterRegion is not served by Littoral")
        functions = [self._catalog.get(name) for name in self._catalog.names()]
        if function_version == "ALL":
            versions = [version for each in functions for version in (each.latest, *_in_order(each))]
        else:
            versions = [each.latest for each in functions]
        shown, following = page(versions, _sort_key, marker, min(max_items, PAGE))
        listed = [self._shown(each, qualified=function_version == "ALL") for each in shown]
        return with_marker({"Functions": listed}, following)

    @operation()
    async def delete_function(self, call: Call, *, function_name: str, qualifier: str | None = None) -> Output:
        reference = self._home.parse(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            self._check_replicas(reference)
            if reference.qualifier is None:
                await self._catalog.delete(reference.name)
                self._parts.scheduler.retire(reference.name, keep=set())
                self._parts.scheduler.slots.reserve(reference.name, None)
            else:
                await self._delete_version(function, reference.qualifier)
        # 204 is what AWS answers although the model says 200 since StatusCode was added to the output
        return {"StatusCode": 204}

    def _check_replicas(self, reference: Reference) -> None:
        """The distribution lets go of it first ("Deleting Lambda@Edge functions and replicas")."""
        arn = self._home.arn(reference.name, reference.qualifier)
        if self._parts.replicated(arn):
            raise invalid(
                f"Lambda was unable to delete {arn} because it is a replicated function. "
                "Please see our documentation for Deleting Lambda@Edge Functions and Replicas."
            )

    async def _create(self, function: Function, publish: bool, now: float) -> Output:
        try:
            await self._catalog.create(function)
        except Conflict:
            raise conflict(f"Function already exist: {function.name}") from None
        await self._parts.readiness.follow(function.name, "creation", self._parts.launcher.prepare(function.latest))
        if publish:
            return self._shown(await self._publish(function, now), qualified=True)
        return self._shown(function.latest)

    async def _delete_version(self, function: Function, qualifier: str) -> None:
        if qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        if not is_number(qualifier):
            raise invalid("Deletion of aliases is not currently supported.")
        if int(qualifier) not in function.versions:
            return  # AWS says so, too
        pointing = sorted(a.name for a in function.aliases.values() if a.version == qualifier or qualifier in a.weights)
        if pointing:
            raise conflict(f"Version {qualifier} cannot be deleted: the aliases {pointing} point to it")
        if qualifier in function.provisioned:
            kept = {each: config for each, config in function.provisioned.items() if each != qualifier}
            function = replace(function, provisioned=kept)
            await self._catalog.save(function)
        await self._catalog.unpublish(function, int(qualifier))
        self._parts.provisioner.changed()
        self._retire(self._catalog.get(function.name))

    def _configuration(self, reference: Reference, version: FunctionVersion) -> Output:
        """An unqualified question is answered with the unqualified ARN; an alias shows its own."""
        shown = self._shown(version, qualified=reference.qualifier is not None)
        if reference.qualifier is not None:
            shown["FunctionArn"] = self._home.arn(reference.name, reference.qualifier)
        return shown


def _in_order(function: Function) -> list[FunctionVersion]:
    return [function.versions[number] for number in sorted(function.versions)]


def _sort_key(version: FunctionVersion) -> str:
    number = -1 if version.version == LATEST else int(version.version)
    return f"{version.name}\0{number + 1:09d}"
