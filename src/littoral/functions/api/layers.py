"""Layers: publish, get, list, delete, and the policy of a layer version.

The policy is kept and shown; nobody but this account can reach a place, so it lets nobody in that was out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import PAGE, Operations, check_revision, page, with_marker
from littoral.functions.api.permissions import MAX_POLICY
from littoral.functions.layers import Layer, Layers, LayerVersion, check_number
from littoral.functions.names import conflict, not_found
from littoral.functions.version import aws_time, new_revision


class LayerOperations(Operations):
    @property
    def _layers(self) -> Layers:
        return self._parts.layers

    @operation()
    async def publish_layer_version(
        self,
        call: Call,
        *,
        layer_name: str,
        content: dict[str, Any],
        description: str = "",
        compatible_architectures: list[str] | None = None,
        compatible_runtimes: list[str] | None = None,
        license_info: str = "",
    ) -> Output:
        name = self._layers.name_of(layer_name)
        stored = await self._code_of(content)
        async with self._layers.lock(name):
            layer = self._layers.find(name)
            number = layer.next_version
            version = LayerVersion(
                number,
                stored.sha256,
                stored.size,
                aws_time(call.now),
                description,
                license_info,
                tuple(compatible_runtimes or ()),
                tuple(compatible_architectures or ()),
            )
            await self._layers.save(
                replace(layer, next_version=number + 1, versions={**layer.versions, number: version})
            )
        return self._shown_layer(call, name, version)

    @operation()
    async def get_layer_version(self, call: Call, *, layer_name: str, version_number: int) -> Output:
        name = self._layers.name_of(layer_name)
        return self._shown_layer(call, name, self._layers.get(name, version_number))

    @operation()
    async def get_layer_version_by_arn(self, call: Call, *, arn: str) -> Output:
        name, number = self._layers.parse(arn)
        return self._shown_layer(call, name, self._layers.get(name, number))

    @operation()
    async def list_layers(
        self,
        call: Call,
        *,
        compatible_runtime: str | None = None,
        compatible_architecture: str | None = None,
        marker: str | None = None,
        max_items: int = PAGE,
    ) -> Output:
        listed: list[tuple[str, LayerVersion]] = []
        for layer in self._layers.all():
            fitting = _fitting(layer, compatible_runtime, compatible_architecture)
            if fitting:
                listed.append((layer.name, fitting[0]))
        shown, following = page(listed, lambda each: each[0], marker, min(max_items, PAGE))
        layers = [
            {
                "LayerName": name,
                "LayerArn": self._layers.arn(name),
                "LatestMatchingVersion": self._facts(name, version),
            }
            for name, version in shown
        ]
        return with_marker({"Layers": layers}, following)

    @operation()
    async def list_layer_versions(
        self,
        call: Call,
        *,
        layer_name: str,
        compatible_runtime: str | None = None,
        compatible_architecture: str | None = None,
        marker: str | None = None,
        max_items: int = PAGE,
    ) -> Output:
        """Newest first; a layer that is not there has no versions, as on AWS."""
        name = self._layers.name_of(layer_name)
        versions = _fitting(self._layers.find(name), compatible_runtime, compatible_architecture)
        shown, following = page(versions, _newest_first, marker, min(max_items, PAGE))
        return with_marker({"LayerVersions": [self._facts(name, version) for version in shown]}, following)

    @operation()
    async def delete_layer_version(self, call: Call, *, layer_name: str, version_number: int) -> Output:
        """Succeeds when there is no such version, as AWS does; functions that use it keep it."""
        check_number(version_number)
        name = self._layers.name_of(layer_name)
        async with self._layers.lock(name):
            layer = self._layers.find(name)
            if version_number in layer.versions:
                await self._layers.remove(layer, version_number)
        return {}

    @operation(notes="kept and shown; a place has one account, so the policy lets nobody in")
    async def add_layer_version_permission(
        self,
        call: Call,
        *,
        layer_name: str,
        version_number: int,
        statement_id: str,
        action: str,
        principal: str,
        organization_id: str | None = None,
        revision_id: str | None = None,
    ) -> Output:
        name = self._layers.name_of(layer_name)
        async with self._layers.lock(name):
            version = self._version(name, version_number)
            check_revision(revision_id, version.policy_revision, "LayerPolicy")
            if any(each["Sid"] == statement_id for each in version.statements):
                raise conflict(
                    f"The statement id ({statement_id}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            who = f"arn:aws:iam::{principal}:root" if principal.isdigit() else principal
            added: dict[str, Any] = {
                "Sid": statement_id,
                "Effect": "Allow",
                "Principal": "*" if who == "*" else {"AWS": who},
                "Action": action,
                "Resource": self._layers.arn(name, version_number),
            }
            if organization_id:
                added["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": organization_id}}
            changed = await self._store_policy(name, version, (*version.statements, added))
        return {"Statement": json.dumps(added, separators=(",", ":")), "RevisionId": changed.policy_revision}

    @operation()
    async def remove_layer_version_permission(
        self,
        call: Call,
        *,
        layer_name: str,
        version_number: int,
        statement_id: str,
        revision_id: str | None = None,
    ) -> Output:
        name = self._layers.name_of(layer_name)
        async with self._layers.lock(name):
            version = self._version(name, version_number)
            left = tuple(each for each in version.statements if each["Sid"] != statement_id)
            if len(left) == len(version.statements):
                raise not_found(f"Statement {statement_id} is not found in resource policy.")
            check_revision(revision_id, version.policy_revision, "LayerPolicy")
            await self._store_policy(name, version, left)
        return {}

    @operation()
    async def get_layer_version_policy(self, call: Call, *, layer_name: str, version_number: int) -> Output:
        version = self._version(self._layers.name_of(layer_name), version_number)
        if not version.statements:
            raise not_found("No policy is associated with the given resource.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": list(version.statements)}
        return {"Policy": json.dumps(policy, separators=(",", ":")), "RevisionId": version.policy_revision}

    def _version(self, name: str, number: int) -> LayerVersion:
        """Whose policy is asked for. Raises ResourceNotFoundException."""
        try:
            return self._layers.get(name, number)
        except ServiceError:
            raise not_found(f"Layer version {self._layers.arn(name, number)} does not exist.") from None

    async def _store_policy(
        self, name: str, version: LayerVersion, statements: Sequence[dict[str, Any]]
    ) -> LayerVersion:
        if len(json.dumps(statements)) > MAX_POLICY:
            raise ServiceError(
                "PolicyLengthExceededException",
                f"The final policy size is bigger than the limit ({MAX_POLICY}).",
                status=400,
                fields={"Type": "User"},
            )
        layer = self._layers.find(name)
        changed = replace(version, statements=tuple(statements), policy_revision=new_revision())
        await self._layers.save(replace(layer, versions={**layer.versions, version.version: changed}))
        return changed

    def _shown_layer(self, call: Call, name: str, version: LayerVersion) -> Output:
        return {
            **self._facts(name, version),
            "LayerArn": self._layers.arn(name),
            "Content": {
                "Location": call.base_url + self._parts.sign_code_url(version, call.now),
                "CodeSha256": version.sha256,
                "CodeSize": version.size,
            },
        }

    def _facts(self, name: str, version: LayerVersion) -> Output:
        shown: Output = {
            "LayerVersionArn": self._layers.arn(name, version.version),
            "Version": version.version,
            "Description": version.description,
            "CreatedDate": version.created,
        }
        if version.runtimes:
            shown["CompatibleRuntimes"] = list(version.runtimes)
        if version.architectures:
            shown["CompatibleArchitectures"] = list(version.architectures)
        if version.license:
            shown["LicenseInfo"] = version.license
        return shown


def _fitting(layer: Layer, runtime: str | None, architecture: str | None) -> list[LayerVersion]:
    """Versions that name what is asked for, newest first."""
    versions = sorted(layer.versions.values(), key=_newest_first)
    return [
        each
        for each in versions
        if (runtime is None or runtime in each.runtimes)
        and (architecture is None or not each.architectures or architecture in each.architectures)
    ]


def _newest_first(version: LayerVersion) -> str:
    return f"{999_999_999 - version.version:09d}"
