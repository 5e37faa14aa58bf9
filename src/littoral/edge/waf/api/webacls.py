"""Web ACLs and rule groups."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.waf import capacity
from littoral.edge.waf.api.parts import Operations, associated, described, exceeded, invalid
from littoral.edge.waf.api.rulechecks import RuleChecks, check_action
from littoral.edge.waf.bundles import SIGNING, references
from littoral.edge.waf.labels import namespace

BODIES, BODY_BYTES = 50, 4096
ACL_NOTES = (
    "Refused: Monetize. GeoMatch and AsnMatch know what the location's geo database does. JA3 and JA4 have no "
    "fingerprint behind a front: their FallbackBehavior decides. Of AssociationConfig only RequestBody acts. "
    "CloudWatchMetricsEnabled is kept and told: /metrics counts whatever it says."
)


class EntityOperations(Operations):
    """Base of both: the checks."""

    def _checks(self, scope: str) -> RuleChecks:
        return RuleChecks(self._control, scope, self._groups)

    def _bodies(self, bodies: dict[str, Any] | None) -> dict[str, Any]:
        if len(bodies or {}) > BODIES:
            raise exceeded(f"{BODIES} custom response bodies")
        for key, body in (bodies or {}).items():
            if len(body["Content"].encode()) > BODY_BYTES:
                raise exceeded(f"{BODY_BYTES} bytes of the custom response body {key}")
        return bodies or {}

    @operation()
    async def check_capacity(self, call: Call, *, scope: str, rules: list[dict[str, Any]]) -> Output:
        return {"Capacity": self._checks(scope).rules(rules, AnyKey(), in_group=False)}


class AnyKey(dict[str, Any]):
    """Custom response bodies of which each key is one: CheckCapacity is not told them."""

    def __contains__(self, key: object) -> bool:
        return True


class WebAclOperations(EntityOperations):
    def _document(
        self,
        scope: str,
        default_action: dict[str, Any],
        visibility: dict[str, Any],
        rules: list[dict[str, Any]],
        bodies: dict[str, Any] | None,
        **more: Any,
    ) -> dict[str, Any]:
        """The checked document of a web ACL, with the capacity that it needs."""
        checked = self._bodies(bodies)
        check_action(default_action, checked, "DefaultAction", "DEFAULT_ACTION")
        needed = self._checks(scope).rules(rules, checked, in_group=False)
        if needed > capacity.ACL_LIMIT:
            raise exceeded(f"{capacity.ACL_LIMIT} capacity units of a web ACL, where {needed} are needed")
        injected = (more["AssociationConfig"] or {}).get("ChallengeJavascriptSdkInjection")
        if injected:
            field = "CHALLENGE_JAVASCRIPT_SDK_INJECTION_CONFIG"
            raise invalid("No script is injected here", field, ",".join(injected))
        document = {"DefaultAction": default_action, "VisibilityConfig": visibility, "Rules": rules, "Capacity": needed}
        more |= {"CustomResponseBodies": bodies}
        return document | {name: value for name, value in more.items() if value is not None}

    async def _tokens(self) -> None:
        """The key that every location checks tokens with; made with the first web ACL."""
        if self._control.get("waf-secret", SIGNING) is None:
            await self._control.put("waf-secret", SIGNING, {"key": secrets.token_hex(32)}, deploy=False)

    @operation(notes=ACL_NOTES)
    async def create_web_acl(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        default_action: dict[str, Any],
        visibility_config: dict[str, Any],
        description: str | None = None,
        rules: list[dict[str, Any]] | None = None,
        tags: list[dict[str, str]] | None = None,
        custom_response_bodies: dict[str, Any] | None = None,
        captcha_config: dict[str, Any] | None = None,
        challenge_config: dict[str, Any] | None = None,
        token_domains: list[str] | None = None,
        association_config: dict[str, Any] | None = None,
    ) -> Output:
        async with self._control.changing:
            document = self._document(
                scope,
                default_action,
                visibility_config,
                rules or [],
                custom_response_bodies,
                AssociationConfig=association_config,
                CaptchaConfig=captcha_config,
                ChallengeConfig=challenge_config,
                TokenDomains=token_domains,
            )
            await self._tokens()
            return await self._create("webacl", scope, name, description, document, tags)

    @operation(notes=ACL_NOTES)
    async def update_web_acl(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        id: str,
        default_action: dict[str, Any],
        visibility_config: dict[str, Any],
        lock_token: str,
        description: str | None = None,
        rules: list[dict[str, Any]] | None = None,
        custom_response_bodies: dict[str, Any] | None = None,
        captcha_config: dict[str, Any] | None = None,
        challenge_config: dict[str, Any] | None = None,
        token_domains: list[str] | None = None,
        association_config: dict[str, Any] | None = None,
    ) -> Output:
        """Replaces the whole ACL; what is not given takes its default."""
        async with self._control.changing:
            entity = self._named("webacl", scope, name, id)
            document = self._document(
                scope,
                default_action,
                visibility_config,
                rules or [],
                custom_response_bodies,
                AssociationConfig=association_config,
                CaptchaConfig=captcha_config,
                ChallengeConfig=challenge_config,
                TokenDomains=token_domains,
            )
            return await self._update("webacl", entity, lock_token, description, document)

    @operation()
    async def get_web_acl(
        self,
        call: Call,
        *,
        name: str | None = None,
        scope: str | None = None,
        id: str | None = None,
        arn: str | None = None,
    ) -> Output:
        """By ARN, or by name, scope and id."""
        entity = self._either("webacl", name, scope, id, arn)
        return {"WebACL": self.shown_acl(entity), "LockToken": entity["lock"]}

    def _either(self, noun: str, name: str | None, scope: str | None, id: str | None, arn: str | None) -> Any:
        if arn is not None:
            return self._by_arn(noun, arn)
        if name is None or scope is None or id is None:
            raise invalid("Either the ARN, or name, scope and id", "RESOURCE_ARN", "ARN")
        return self._named(noun, scope, name, id)

    def shown_acl(self, entity: Mapping[str, Any]) -> Output:
        own = namespace(self._account, "webacl", entity["name"])
        return {**described(dict(entity)), "ManagedByFirewallManager": False, "LabelNamespace": own}

    @operation()
    async def delete_web_acl(self, call: Call, *, name: str, scope: str, id: str, lock_token: str) -> Output:
        async with self._control.changing:
            entity = self._named("webacl", scope, name, id)
            for distribution in self._distributions_of(entity["arn"]):
                raise associated(f"the distribution {distribution['id']}")
            return await self._delete("webacl", entity, lock_token)

    @operation()
    async def list_web_acls(
        self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        listed, more = self._listed("webacl", scope, next_marker, limit)
        return {"WebACLs": listed, **more}


class RuleGroupOperations(WebAclOperations):
    @operation(notes=ACL_NOTES)
    async def create_rule_group(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        capacity: int,
        visibility_config: dict[str, Any],
        description: str | None = None,
        rules: list[dict[str, Any]] | None = None,
        tags: list[dict[str, str]] | None = None,
        custom_response_bodies: dict[str, Any] | None = None,
    ) -> Output:
        """The capacity is reserved for good: no later version may need more."""
        async with self._control.changing:
            document = self._group_document(scope, capacity, visibility_config, rules, custom_response_bodies)
            return await self._create("rulegroup", scope, name, description, document, tags)

    def _group_document(
        self,
        scope: str,
        reserved: int,
        visibility: dict[str, Any],
        rules: list[dict[str, Any]] | None,
        bodies: dict[str, Any] | None,
    ) -> dict[str, Any]:
        needed = self._checks(scope).rules(rules or [], self._bodies(bodies), in_group=True)
        if reserved > capacity.GROUP_LIMIT:
            raise exceeded(f"{capacity.GROUP_LIMIT} capacity units of a rule group")
        if needed > reserved:
            raise exceeded(f"the group's capacity of {reserved}, where {needed} are needed")
        document: dict[str, Any] = {"Capacity": reserved, "VisibilityConfig": visibility, "Rules": rules or []}
        return document | ({"CustomResponseBodies": bodies} if bodies else {})

    @operation(notes=ACL_NOTES)
    async def update_rule_group(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        id: str,
        visibility_config: dict[str, Any],
        lock_token: str,
        description: str | None = None,
        rules: list[dict[str, Any]] | None = None,
        custom_response_bodies: dict[str, Any] | None = None,
    ) -> Output:
        async with self._control.changing:
            entity = self._named("rulegroup", scope, name, id)
            reserved = int(entity["document"]["Capacity"])
            document = self._group_document(scope, reserved, visibility_config, rules, custom_response_bodies)
            self._check_overrides(entity, {rule["Name"] for rule in rules or ()})
            return await self._update("rulegroup", entity, lock_token, description, document)

    def _check_overrides(self, entity: Mapping[str, Any], names: set[str]) -> None:
        """A rule that some web ACL overrides by name may not go."""
        for acl in self._control.all("waf-webacl").values():
            for rule in acl["document"].get("Rules") or ():
                setting = rule["Statement"].get("RuleGroupReferenceStatement") or {}
                if setting.get("ARN") == entity["arn"]:
                    gone = {each["Name"] for each in setting.get("RuleActionOverrides") or ()} - names
                    if gone:
                        raise associated(f"an override of {acl['arn']}: {', '.join(sorted(gone))}")

    @operation()
    async def get_rule_group(
        self,
        call: Call,
        *,
        name: str | None = None,
        scope: str | None = None,
        id: str | None = None,
        arn: str | None = None,
    ) -> Output:
        entity = self._either("rulegroup", name, scope, id, arn)
        own = namespace(self._account, "rulegroup", entity["name"])
        labels = {each["Name"] for rule in entity["document"]["Rules"] for each in rule.get("RuleLabels") or ()}
        group = {
            **described(entity),
            "LabelNamespace": own,
            "AvailableLabels": [{"Name": own + label} for label in sorted(labels)],
        }
        return {"RuleGroup": group, "LockToken": entity["lock"]}

    @operation()
    async def delete_rule_group(self, call: Call, *, name: str, scope: str, id: str, lock_token: str) -> Output:
        async with self._control.changing:
            entity = self._named("rulegroup", scope, name, id)
            for acl in self._control.all("waf-webacl").values():
                if any(arn == entity["arn"] for _, arn in references(acl["document"].get("Rules") or [])):
                    raise associated(acl["arn"])
            return await self._delete("rulegroup", entity, lock_token)

    @operation()
    async def list_rule_groups(
        self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        listed, more = self._listed("rulegroup", scope, next_marker, limit)
        return {"RuleGroups": listed, **more}


class AssociationOperations(RuleGroupOperations):
    """CloudFront associates by the distribution's WebACLId; there are no regional resources to associate."""

    @operation(notes="always refused: a distribution names its web ACL itself (WebACLId)")
    async def associate_web_acl(self, call: Call, *, web_acl_arn: str, resource_arn: str) -> Output:
        self._by_arn("webacl", web_acl_arn)
        if ":cloudfront:" in resource_arn:
            message = "For a distribution, set its WebACLId with UpdateDistribution."
            raise ServiceError("WAFInvalidOperationException", message)
        raise invalid("No resource of this kind is served by this place", "RESOURCE_ARN", resource_arn)

    @operation(notes="always refused: a distribution names its web ACL itself (WebACLId)")
    async def disassociate_web_acl(self, call: Call, *, resource_arn: str) -> Output:
        if ":cloudfront:" in resource_arn:
            message = "For a distribution, clear its WebACLId with UpdateDistribution."
            raise ServiceError("WAFInvalidOperationException", message)
        raise invalid("No resource of this kind is served by this place", "RESOURCE_ARN", resource_arn)

    @operation(notes="of a distribution too, which AWS leaves to CloudFront's ListDistributionsByWebACLId")
    async def get_web_acl_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        distribution = self._control.get("distribution", resource_arn.rpartition("/")[2])
        if ":cloudfront:" not in resource_arn or distribution is None:
            raise ServiceError("WAFNonexistentItemException", "The resource does not exist at this place.")
        acl = self._control.get("waf-webacl", distribution["config"].get("WebACLId") or "")
        return {"WebACL": self.shown_acl(acl)} if acl is not None else {}

    @operation(
        harmless={"ResourceType"},
        notes="distributions too, which AWS leaves to CloudFront's ListDistributionsByWebACLId",
    )
    async def list_resources_for_web_acl(self, call: Call, *, web_acl_arn: str) -> Output:
        self._by_arn("webacl", web_acl_arn)
        found = self._distributions_of(web_acl_arn)
        return {"ResourceArns": [f"arn:aws:cloudfront::{self._account}:distribution/{each['id']}" for each in found]}
