"""Policies and their versions."""

from __future__ import annotations

from dataclasses import replace

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.iotpolicy import Policy, PolicyError
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import delete_conflict, exists, invalid
from littoral.things.control.tagging import TagList
from littoral.things.names import POLICY_NAME, Names
from littoral.things.registry import PolicyRecord


def check_document(document: str) -> None:
    """Raises MalformedPolicyException for what is no policy, or holds what would not be enforced."""
    try:
        Policy.parse(document)
    except PolicyError as error:
        raise ServiceError("MalformedPolicyException", f"Policy document is malformed: {error}", status=400) from None


def listed(names: Names, found: list[str]) -> list[Output]:
    return [{"policyName": name, "policyArn": names.arn("policy", name)} for name in found]


class Policies(Noun):
    @operation()
    async def create_policy(self, call: Call, *, policy_name: str, policy_document: str, tags: TagList = ()) -> Output:
        if not POLICY_NAME.fullmatch(policy_name):
            raise invalid(f"Invalid policy name: {policy_name!r}")
        check_document(policy_document)
        arn = self.names.arn("policy", policy_name)
        async with self.registry.changing:
            if policy_name in self.registry.policies:
                raise exists(f"Policy cannot be created - name already exists (name={policy_name})", arn, policy_name)
            record = PolicyRecord.made(policy_name, policy_document, call.now)
            await self.tag_new(arn, call.now, tags)
            await self.registry.policies.put(policy_name, record)
        return {
            "policyName": policy_name,
            "policyArn": arn,
            "policyDocument": policy_document,
            "policyVersionId": str(record.default_id),
        }

    @operation()
    async def get_policy(self, call: Call, *, policy_name: str) -> Output:
        record = self.policy(policy_name)
        return {
            "policyName": record.name,
            "policyArn": self.names.arn("policy", record.name),
            "policyDocument": record.default.text,
            "defaultVersionId": str(record.default_id),
            "creationDate": record.created,
            "lastModifiedDate": record.modified,
            "generationId": record.generation,
        }

    @operation()
    async def list_policies(
        self, call: Call, *, marker: str | None = None, page_size: int | None = None, ascending_order: bool = False
    ) -> Output:
        found, token = pages.by_age(
            ((record.created, record.name, record) for record in self.registry.policies.values()),
            marker,
            ascending_order,
            pages.size(page_size),
        )
        return pages.with_token(
            {"policies": listed(self.names, [record.name for record in found])}, "nextMarker", token
        )

    @operation()
    async def delete_policy(self, call: Call, *, policy_name: str) -> Output:
        async with self.registry.changing:
            record = self.policy(policy_name)
            if self.registry.grants.of_name(policy_name) or self.registry.group_grants.of_name(policy_name):
                raise delete_conflict(f"Cannot delete the policy: it is attached to a principal (name={policy_name})")
            if len(record.versions) > 1:
                message = "Cannot delete the policy because it has one or more policy versions attached to it"
                raise delete_conflict(f"{message} (name={policy_name})")
            await self.registry.policies.delete(policy_name)
        return {}


class PolicyVersions(Noun):
    @operation()
    async def create_policy_version(
        self, call: Call, *, policy_name: str, policy_document: str, set_as_default: bool = False
    ) -> Output:
        check_document(policy_document)
        async with self.registry.changing:
            record = self.policy(policy_name)
            changed = self.more(record, policy_document, call.now, as_default=set_as_default)
            await self.registry.policies.put(policy_name, changed)
        if set_as_default:
            self.registry.changed(self.registry.holders_of(policy_name))
        return {
            "policyArn": self.names.arn("policy", policy_name),
            "policyDocument": policy_document,
            "policyVersionId": str(changed.newest.id),
            "isDefaultVersion": set_as_default,
        }

    @operation()
    async def get_policy_version(self, call: Call, *, policy_name: str, policy_version_id: str) -> Output:
        record = self.policy(policy_name)
        version = self.version(record, policy_version_id)
        return {
            "policyArn": self.names.arn("policy", policy_name),
            "policyName": policy_name,
            "policyDocument": version.text,
            "policyVersionId": str(version.id),
            "isDefaultVersion": version.id == record.default_id,
            "creationDate": version.created,
            "lastModifiedDate": version.created,
            "generationId": record.generation,
        }

    @operation()
    async def list_policy_versions(self, call: Call, *, policy_name: str) -> Output:
        record = self.policy(policy_name)
        return {
            "policyVersions": [
                {"versionId": str(v.id), "isDefaultVersion": v.id == record.default_id, "createDate": v.created}
                for v in reversed(record.versions)
            ]
        }

    @operation()
    async def set_default_policy_version(self, call: Call, *, policy_name: str, policy_version_id: str) -> Output:
        async with self.registry.changing:
            record = self.policy(policy_name)
            default = self.version(record, policy_version_id)
            await self.registry.policies.put(policy_name, replace(record, default_id=default.id, modified=call.now))
        self.registry.changed(self.registry.holders_of(policy_name))
        return {}

    @operation()
    async def delete_policy_version(self, call: Call, *, policy_name: str, policy_version_id: str) -> Output:
        async with self.registry.changing:
            record = self.policy(policy_name)
            await self.registry.policies.put(policy_name, self.fewer(record, policy_version_id, call.now))
        return {}
