"""UpdateFunctionCode and UpdateFunctionConfiguration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.functions import validation
from littoral.functions.api.parts import check_revision
from littoral.functions.api.settings import Given, SettingsOperations
from littoral.functions.names import invalid
from littoral.functions.version import aws_time


class ConfigurationOperations(SettingsOperations):
    @operation(notes="zip packages only")
    async def update_function_code(
        self,
        call: Call,
        *,
        function_name: str,
        zip_file: bytes | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        s3_object_version: str | None = None,
        image_uri: str | None = None,
        architectures: list[str] | None = None,
        publish: bool = False,
        dry_run: bool = False,
        revision_id: str | None = None,
    ) -> Output:
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            self._parts.readiness.check_changeable(function.name)
            check_revision(revision_id, function.revision())
            if image_uri:
                raise invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
            code = {
                "ZipFile": zip_file,
                "S3Bucket": s3_bucket,
                "S3Key": s3_key,
                "S3ObjectVersion": s3_object_version,
            }
            stored = await self._code_of(code, dry_run=dry_run)
            latest = replace(function.latest, code_sha256=stored.sha256, code_size=stored.size)
            if not dry_run:
                await self._check_sizes(latest.code_key, latest.layers)
            if architectures is not None:
                latest = replace(latest, architectures=validation.architectures_of(architectures))
            if dry_run:
                return self._shown(latest)
            function = await self._replace_latest(function, latest, aws_time(call.now))
            if publish:
                return self._shown(await self._publish(function, call.now), qualified=True)
            return self._shown(function.latest)

    @operation(
        notes="VpcConfig, FileSystemConfigs and KMSKeyArn are refused; DeadLetterConfig takes streams and IoT topics; "
        "SnapStart and active tracing are accepted without effect"
    )
    async def update_function_configuration(
        self,
        call: Call,
        *,
        function_name: str,
        role: str | None = None,
        handler: str | None = None,
        description: str | None = None,
        timeout: int | None = None,
        memory_size: int | None = None,
        environment: dict[str, Any] | None = None,
        runtime: str | None = None,
        revision_id: str | None = None,
        ephemeral_storage: dict[str, Any] | None = None,
        tracing_config: dict[str, Any] | None = None,
        vpc_config: dict[str, Any] | None = None,
        layers: list[str] | None = None,
        file_system_configs: list[dict[str, Any]] | None = None,
        dead_letter_config: dict[str, Any] | None = None,
        kms_key_arn: str | None = None,
        snap_start: dict[str, Any] | None = None,
        logging_config: dict[str, Any] | None = None,
    ) -> Output:
        reference = self._unqualified(function_name)
        validation.check_configuration(
            role=role,
            handler=handler,
            description=description,
            timeout=timeout,
            memory_size=memory_size,
            ephemeral_storage=ephemeral_storage,
            VpcConfig=vpc_config,
            FileSystemConfigs=file_system_configs,
            KMSKeyArn=kms_key_arn,
        )
        asked = Given(layers, dead_letter_config, tracing_config, snap_start, logging_config)
        if runtime is not None:
            await self._parts.runtimes.check(runtime, handler)
        given: dict[str, Any] = {
            "role": role,
            "handler": handler,
            "description": description,
            "timeout": timeout,
            "memory_size": memory_size,
            "runtime": runtime,
            "environment": None if environment is None else validation.environment_of(environment),
            "ephemeral_storage": (ephemeral_storage or {}).get("Size"),
        }
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            self._parts.readiness.check_changeable(function.name)
            check_revision(revision_id, function.revision())
            changes = self._settings(reference.name, runtime or function.latest.runtime, asked, function.latest)
            changes |= {name: value for name, value in given.items() if value is not None}
            latest = replace(function.latest, **changes)
            await self._check_sizes(latest.code_key, latest.layers)
            function = await self._replace_latest(function, latest, aws_time(call.now))
            return self._shown(function.latest)
