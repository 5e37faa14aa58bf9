"""What policies are attached to: certificates and thing groups. Cognito identities do not exist here."""

from __future__ import annotations

from collections.abc import Set

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import limit_exceeded
from littoral.things.control.policies import listed
from littoral.things.registry.attachments import Pairs

MAX_ATTACHED = 10


class PolicyAttachments(Noun):
    def _target(self, arn: str) -> tuple[Pairs, str, Set[str]]:
        """Where its policies are kept, under what name, and the certificates that they concern."""
        group = self.names.name_in("thinggroup", arn)
        if group is not None:
            name = self.group(group).name
            return self.registry.group_grants, name, self.registry.certificates_in(name)
        certificate = self.certificate_of(arn)
        return self.registry.grants, certificate.id, {certificate.id}

    @operation()
    async def attach_policy(self, call: Call, *, policy_name: str, target: str) -> Output:
        """A group's policy counts for every certificate of every thing in it and in the groups below."""
        async with self.registry.changing:
            self.policy(policy_name)
            grants, holder, concerned = self._target(target)
            if (holder, policy_name) not in grants:
                if len(grants.of_holder(holder)) >= MAX_ATTACHED:
                    raise limit_exceeded(f"At most {MAX_ATTACHED} policies may be attached to {target}")
                await grants.add(holder, policy_name)
        self.registry.changed(concerned)
        return {}

    @operation()
    async def detach_policy(self, call: Call, *, policy_name: str, target: str) -> Output:
        async with self.registry.changing:
            self.policy(policy_name)
            grants, holder, concerned = self._target(target)
            if (holder, policy_name) in grants:
                await grants.remove(holder, policy_name)
        self.registry.changed(concerned)
        return {}

    @operation()
    async def attach_principal_policy(self, call: Call, *, policy_name: str, principal: str) -> Output:
        """The older name of AttachPolicy."""
        return await self.attach_policy(call, policy_name=policy_name, target=principal)

    @operation()
    async def detach_principal_policy(self, call: Call, *, policy_name: str, principal: str) -> Output:
        """The older name of DetachPolicy."""
        return await self.detach_policy(call, policy_name=policy_name, target=principal)

    @operation()
    async def list_attached_policies(
        self,
        call: Call,
        *,
        target: str,
        recursive: bool = False,
        marker: str | None = None,
        page_size: int | None = None,
    ) -> Output:
        """``recursive`` adds, of a group, the policies of those above it; of a certificate, those of its things'
        groups."""
        grants, holder, _ = self._target(target)
        names = set(grants.of_holder(holder))
        if recursive and grants is self.registry.group_grants:
            names.update(name for each in self.registry.ancestors(holder) for name in grants.of_holder(each))
        elif recursive:
            names.update(self.registry.policies_of(holder))
        found, token = pages.names(sorted(names), marker, pages.size(page_size))
        return pages.with_token({"policies": listed(self.names, found)}, "nextMarker", token)

    @operation(harmless={"ascendingOrder"})
    async def list_principal_policies(
        self,
        call: Call,
        *,
        principal: str,
        marker: str | None = None,
        page_size: int | None = None,
    ) -> Output:
        """The older name of ListAttachedPolicies, in order of names."""
        return await self.list_attached_policies(call, target=principal, marker=marker, page_size=page_size)

    @operation()
    async def list_targets_for_policy(
        self, call: Call, *, policy_name: str, marker: str | None = None, page_size: int | None = None
    ) -> Output:
        self.policy(policy_name)
        targets = [self.names.arn("cert", one) for one in self.registry.grants.of_name(policy_name)]
        targets += [self.names.arn("thinggroup", one) for one in self.registry.group_grants.of_name(policy_name)]
        found, token = pages.names(targets, marker, pages.size(page_size))
        return pages.with_token({"targets": found}, "nextMarker", token)

    @operation(harmless={"ascendingOrder"})
    async def list_policy_principals(
        self, call: Call, *, policy_name: str, marker: str | None = None, page_size: int | None = None
    ) -> Output:
        """The older name of ListTargetsForPolicy, for certificates only."""
        self.policy(policy_name)
        found, token = pages.names(self.registry.grants.of_name(policy_name), marker, pages.size(page_size))
        return pages.with_token({"principals": [self.names.arn("cert", one) for one in found]}, "nextMarker", token)

    @operation(notes="by certificate; cognitoIdentityPoolId is refused")
    async def get_effective_policies(
        self, call: Call, *, principal: str | None = None, thing_name: str | None = None
    ) -> Output:
        """Of a certificate, of a thing (through its groups), or of both together."""
        names: dict[str, None] = {}
        if principal is not None:
            names.update(dict.fromkeys(self.registry.policies_of(self.certificate_of(principal).id)))
        if thing_name is not None:
            for group in self.registry.groups_of(self.thing(thing_name).name):
                names.update(dict.fromkeys(self.registry.group_grants.of_holder(group)))
        records = [record for name in names if (record := self.registry.policies.get(name)) is not None]
        return {
            "effectivePolicies": [
                {
                    "policyName": record.name,
                    "policyArn": self.names.arn("policy", record.name),
                    "policyDocument": record.default.text,
                }
                for record in records
            ]
        }
