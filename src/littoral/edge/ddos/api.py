"""The Shield API (2016-06-02): subscription, protections of distributions, and the attacks that guards saw.

The shield of every location is always on and costs nothing, so a subscription and a protection switch nothing: they
are what tools that manage AWS Shield Advanced expect to find. Attacks are told of with or without them.
"""

from __future__ import annotations

import uuid
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.control import Control
from littoral.edge.ddos.attacks import YEAR, Attacks
from littoral.edge.waf.api.observing import seconds
from littoral.store.documents import Document

PROTECTION, SUBSCRIPTION = "shield-protection", "shield-subscription"
MOST = 1000  # protections
TYPE = "CLOUDFRONT_DISTRIBUTION"
PAGE = 100
NOTHING_AUTOMATIC = "The shield writes no rules into a web ACL: it refuses those who ask the most by itself, always"
NO_TEAM = "There is no response team at this place"


def not_found(message: str, kind: str = "SUBSCRIPTION") -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, fields={"resourceType": kind})


def wrong(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


class Shield:
    """Of botocore's service "shield"."""

    def __init__(self, control: Control, attacks: Attacks, *, account: str) -> None:
        self._control = control
        self._attacks = attacks
        self._account = account

    # ------------------------------------------------------------------------------------ subscription

    @operation()
    async def get_subscription_state(self, call: Call) -> Output:
        active = self._control.get(SUBSCRIPTION, "own") is not None
        return {"SubscriptionState": "ACTIVE" if active else "INACTIVE"}

    @operation(notes="switches nothing: the shield is always on")
    async def create_subscription(self, call: Call) -> Output:
        async with self._control.changing:
            if self._control.get(SUBSCRIPTION, "own") is not None:
                raise exists("The subscription already exists.", "SUBSCRIPTION")
            document = {"start": call.now, "renew": "ENABLED"}
            await self._control.put(SUBSCRIPTION, "own", document, deploy=False)
        return {}

    @operation(notes="without an end and a commitment: nothing is paid for")
    async def describe_subscription(self, call: Call) -> Output:
        found = self._subscription()
        types = [{"Type": TYPE, "Max": MOST}]
        return {
            "Subscription": {
                "StartTime": found["start"],
                "TimeCommitmentInSeconds": 0,
                "AutoRenew": found["renew"],
                "Limits": types,
                "ProactiveEngagementStatus": "DISABLED",
                "SubscriptionLimits": {
                    "ProtectionLimits": {"ProtectedResourceTypeLimits": types},
                    "ProtectionGroupLimits": {
                        "MaxProtectionGroups": 0,
                        "PatternTypeLimits": {"ArbitraryPatternLimits": {"MaxMembers": 0}},
                    },
                },
                "SubscriptionArn": f"arn:aws:shield::{self._account}:subscription",
            }
        }

    @operation(notes="AutoRenew is kept and shown")
    async def update_subscription(self, call: Call, *, auto_renew: str | None = None) -> Output:
        async with self._control.changing:
            found = self._subscription()
            if auto_renew is not None:
                await self._control.put(SUBSCRIPTION, "own", {**found, "renew": auto_renew}, deploy=False)
        return {}

    @operation(notes="at any time: there is no commitment")
    async def delete_subscription(self, call: Call) -> Output:
        async with self._control.changing:
            self._subscription()
            await self._control.delete(SUBSCRIPTION, "own", deploy=False)
        return {}

    def _subscription(self) -> Document:
        found = self._control.get(SUBSCRIPTION, "own")
        if found is None:
            raise not_found("The subscription does not exist.")
        return found

    # ------------------------------------------------------------------------------------ protections

    @operation(notes="of distributions of this place; switches nothing")
    async def create_protection(
        self, call: Call, *, name: str, resource_arn: str, tags: list[dict[str, str]] | None = None
    ) -> Output:
        async with self._control.changing:
            self._subscription()
            self._check_resource(resource_arn)
            protections = self._control.all(PROTECTION)
            if any(each["arn"] == resource_arn for each in protections.values()):
                raise exists("A protection of this resource already exists.", "PROTECTION")
            if len(protections) >= MOST:
                message = f"No more than {MOST} protections."
                raise ServiceError("LimitsExceededException", message, fields={"Type": TYPE, "Limit": MOST})
            identifier = str(uuid.uuid4())
            document = {"id": identifier, "name": name, "arn": resource_arn, "tags": _checked_tags({}, tags)}
            await self._control.put(PROTECTION, identifier, document, deploy=False)
        return {"ProtectionId": identifier}

    def _check_resource(self, arn: str) -> None:
        prefix = f"arn:aws:cloudfront::{self._account}:distribution/"
        if not arn.startswith(prefix):
            message = "Of the resources that may be protected this place has distributions of its account."
            raise ServiceError("InvalidResourceException", message)
        if self._control.get("distribution", arn.removeprefix(prefix)) is None:
            raise not_found("The referenced distribution does not exist.", "PROTECTED_RESOURCE")

    @operation()
    async def describe_protection(
        self, call: Call, *, protection_id: str | None = None, resource_arn: str | None = None
    ) -> Output:
        if (protection_id is None) == (resource_arn is None):
            raise wrong("Exactly one of ProtectionId and ResourceArn names the protection.")
        for each in self._control.all(PROTECTION).values():
            if protection_id == each["id"] or resource_arn == each["arn"]:
                return {"Protection": self._shown(each)}
        raise not_found("The referenced protection does not exist.", "PROTECTION")

    @operation()
    async def list_protections(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int = PAGE,
        inclusion_filters: dict[str, list[str]] | None = None,
    ) -> Output:
        filters = inclusion_filters or {}
        found = [
            self._shown(each)
            for each in sorted(self._control.all(PROTECTION).values(), key=lambda each: str(each["id"]))
            if each["arn"] in filters.get("ResourceArns", [each["arn"]])
            and each["name"] in filters.get("ProtectionNames", [each["name"]])
            and TYPE in filters.get("ResourceTypes", [TYPE])
        ]
        selected, more = page(found, next_token, max_results)
        return {"Protections": selected, **more}

    @operation()
    async def delete_protection(self, call: Call, *, protection_id: str) -> Output:
        async with self._control.changing:
            self._protection(protection_id)
            await self._control.delete(PROTECTION, protection_id, deploy=False)
        return {}

    def _protection(self, identifier: str) -> Document:
        found = self._control.get(PROTECTION, identifier)
        if found is None:
            raise not_found("The referenced protection does not exist.", "PROTECTION")
        return found

    def _shown(self, protection: Document) -> Output:
        arn = f"arn:aws:shield::{self._account}:protection/{protection['id']}"
        made = {"Id": protection["id"], "Name": protection["name"], "ResourceArn": protection["arn"]}
        return {**made, "HealthCheckIds": [], "ProtectionArn": arn}

    # ------------------------------------------------------------------------------------ what is not automatic

    @operation(harmless={"Action"}, notes="always refused: the shield acts by itself and writes no rules")
    async def enable_application_layer_automatic_response(self, call: Call, *, resource_arn: str) -> Output:
        raise self._nothing_automatic(resource_arn)

    @operation(harmless={"Action"}, notes="always refused, as enabling it")
    async def update_application_layer_automatic_response(self, call: Call, *, resource_arn: str) -> Output:
        raise self._nothing_automatic(resource_arn)

    @operation(notes="always refused, as enabling it")
    async def disable_application_layer_automatic_response(self, call: Call, *, resource_arn: str) -> Output:
        raise self._nothing_automatic(resource_arn)

    def _nothing_automatic(self, arn: str) -> ServiceError:
        if not any(each["arn"] == arn for each in self._control.all(PROTECTION).values()):
            return not_found("There is no protection of this resource.", "PROTECTION")
        return ServiceError("InvalidOperationException", f"{NOTHING_AUTOMATIC}.")

    # ------------------------------------------------------------------------------------ attacks

    @operation(notes="what the guards of locations refused: 100 or more without a quiet minute; kept for a year")
    async def list_attacks(
        self,
        call: Call,
        *,
        resource_arns: list[str] | None = None,
        start_time: dict[str, Any] | None = None,
        end_time: dict[str, Any] | None = None,
        next_token: str | None = None,
        max_results: int = PAGE,
    ) -> Output:
        began, ended = _range(start_time), _range(end_time)
        found = [
            self._attacks.summary(each)
            for each in self._attacks.all(call.now)
            if (not resource_arns or self._attacks.arn(each) in resource_arns)
            and began[0] <= each["start"] < began[1]
            and (end_time is None or (each["end"] is not None and ended[0] <= each["end"] < ended[1]))
        ]
        selected, more = page(found, next_token, max_results)
        return {"AttackSummaries": selected, **more}

    @operation(notes="Sum, Max and Average are of what was refused; contributors are lower bounds")
    async def describe_attack(self, call: Call, *, attack_id: str) -> Output:
        for each in self._attacks.all(call.now):
            if each["id"] == attack_id:
                return {"Attack": self._attacks.described(each)}
        raise ServiceError("AccessDeniedException", "There is no such attack that you may see.")

    @operation(notes="of the last year")
    async def describe_attack_statistics(self, call: Call) -> Output:
        found = [each for each in self._attacks.all(call.now) if each["start"] >= call.now - YEAR]
        item: Output = {"AttackCount": len(found)}
        if found:
            most = max(sum(vector["max"] for vector in each["vectors"].values()) for each in found)
            item["AttackVolume"] = {"RequestsPerSecond": {"Max": float(most)}}
        return {"TimeRange": {"FromInclusive": call.now - YEAR, "ToExclusive": call.now}, "DataItems": [item]}

    # ------------------------------------------------------------------------------------ nobody to call

    @operation(notes=f"empty: {NO_TEAM}")
    async def describe_drt_access(self, call: Call) -> Output:
        self._subscription()
        return {"LogBucketList": []}

    @operation(notes=f"empty: {NO_TEAM}")
    async def describe_emergency_contact_settings(self, call: Call) -> Output:
        self._subscription()
        return {"EmergencyContactList": []}

    # ------------------------------------------------------------------------------------ tags

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        async with self._control.changing:
            found = self._by_arn(resource_arn)
            changed = {**found, "tags": _checked_tags(found["tags"], tags)}
            await self._control.put(PROTECTION, found["id"], changed, deploy=False)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        async with self._control.changing:
            found = self._by_arn(resource_arn)
            kept = {key: value for key, value in found["tags"].items() if key not in tag_keys}
            await self._control.put(PROTECTION, found["id"], {**found, "tags": kept}, deploy=False)
        return {}

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        tags = sorted(self._by_arn(resource_arn)["tags"].items())
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags]}

    def _by_arn(self, arn: str) -> Document:
        prefix = f"arn:aws:shield::{self._account}:protection/"
        if not arn.startswith(prefix):
            raise ServiceError("InvalidResourceException", "This is no protection's ARN.")
        return self._protection(arn.removeprefix(prefix))


def exists(message: str, kind: str) -> ServiceError:
    return ServiceError("ResourceAlreadyExistsException", message, fields={"resourceType": kind})


def _checked_tags(before: dict[str, str], tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Raises InvalidParameterException."""
    given = tags or []
    if any("Key" not in each or "Value" not in each for each in given):
        raise wrong("A tag has a key and a value.")
    merged = {**before, **{each["Key"]: each["Value"] for each in given}}
    if len(merged) > 50:
        raise wrong("A resource has at most 50 tags.")
    return merged


def _range(told: dict[str, Any] | None) -> tuple[float, float]:
    """From inclusive, to exclusive. Raises InvalidParameterException."""
    given = told or {}
    start = seconds(given["FromInclusive"]) if "FromInclusive" in given else 0.0
    end = seconds(given["ToExclusive"]) if "ToExclusive" in given else float("inf")
    if end < start:
        raise wrong("A time range ends after it begins.")
    return start, end


def page(found: list[Output], token: str | None, most: int) -> tuple[list[Output], dict[str, str]]:
    """A token is the number of what came before. Raises InvalidPaginationTokenException."""
    if token is not None and not token.isdecimal():
        raise ServiceError("InvalidPaginationTokenException", "This token is not one that a list gave.")
    start, most = int(token or 0), most or PAGE
    following = {"NextToken": str(start + most)} if len(found) > start + most else {}
    return found[start : start + most], following
