"""The CloudFront API (2020-05-31): distributions, invalidations, policies and origin access controls.

ETags are the revision of a document. ``IfMatch`` missing is InvalidIfMatchVersion, another one PreconditionFailed.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.control import Control, new_id
from littoral.edge.honoured import NOTES, check_honoured
from littoral.edge.plan import EVENTS, compile_plan, items
from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST
from littoral.store.documents import Document

VERSION_ARN = re.compile(r"^arn:aws:lambda:us-east-1:\d{12}:function:[a-zA-Z0-9-_]+:\d+$")
IN_USE = {
    "cache-policy": ("CachePolicyId", "CachePolicyInUse"),
    "origin-request-policy": ("OriginRequestPolicyId", "OriginRequestPolicyInUse"),
}


class FunctionLookup(Protocol):
    """Whether a numbered function version exists and may run at the edge; raises ServiceError with the reason."""

    async def check_edge_function(self, arn: str) -> None: ...


class CloudFront:
    """``functions`` None means that triggers are not checked against the functions of this place."""

    def __init__(self, control: Control, *, account: str, functions: FunctionLookup | None = None) -> None:
        self._control = control
        self._account = account
        self._functions = functions

    # ------------------------------------------------------------------------------------ distributions

    @operation(notes=NOTES)
    async def create_distribution(self, call: Call, *, distribution_config: dict[str, Any]) -> Output:
        """InProgress until every edge location has it."""
        return await self._create(call, distribution_config, [])

    @operation(notes=NOTES)
    async def create_distribution_with_tags(
        self, call: Call, *, distribution_config_with_tags: dict[str, Any]
    ) -> Output:
        """The same, with tags."""
        tags = items(distribution_config_with_tags, "Tags")
        return await self._create(call, distribution_config_with_tags["DistributionConfig"], tags)

    async def _create(self, call: Call, config: dict[str, Any], tags: list[Any]) -> Output:
        async with self._control.changing:
            reference = config["CallerReference"]
            for document in self._control.all("distribution").values():
                if document["config"]["CallerReference"] == reference:
                    if document["config"] == _plain(config):
                        return self._answer(document, call)
                    message = f"The caller reference that you are using is associated with {document['id']}."
                    raise ServiceError("DistributionAlreadyExists", message, status=409)
            await self._check(config, None)
            identifier = new_id()
            document = {
                "id": identifier,
                "domain": f"d{uuid.uuid4().hex[:13]}.cloudfront.net",
                "config": _plain(config),
                "etag": new_id(),
                "modified": call.now,
            }
            await self._control.put("distribution", identifier, document)
            if tags:
                await self._control.put("tags", identifier, {"tags": tags}, deploy=False)
            return self._answer(document, call)

    def _answer(self, document: Document, call: Call) -> Output:
        location = f"{call.base_url}/2020-05-31/distribution/{document['id']}"
        return {"Distribution": self._distribution(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_distribution(self, call: Call, *, id: str) -> Output:
        """Status is Deployed once every location has acknowledged the distribution's revision."""
        document = self._found(id)
        return {"Distribution": self._distribution(document), "ETag": document["etag"]}

    @operation()
    async def get_distribution_config(self, call: Call, *, id: str) -> Output:
        document = self._found(id)
        return {"DistributionConfig": _full(document["config"]), "ETag": document["etag"]}

    @operation(notes=NOTES)
    async def update_distribution(
        self,
        call: Call,
        *,
        id: str,
        distribution_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        async with self._control.changing:
            document = dict(self._found(id))
            _match(document, if_match)
            if distribution_config["CallerReference"] != document["config"]["CallerReference"]:
                raise ServiceError("IllegalUpdate", "The CallerReference may not be changed.", status=400)
            await self._check(distribution_config, id)
            document |= {"config": _plain(distribution_config), "etag": new_id(), "modified": call.now}
            await self._control.put("distribution", id, document)
            return {"Distribution": self._distribution(document), "ETag": document["etag"]}

    @operation()
    async def delete_distribution(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            document = self._found(id)
            _match(document, if_match)
            if document["config"]["Enabled"]:
                message = "The distribution you are trying to delete has not been disabled."
                raise ServiceError("DistributionNotDisabled", message, status=409)
            await self._control.delete("distribution", id)
            for key in [key for key, each in self._control.all("invalidation").items() if each["distribution"] == id]:
                await self._control.delete("invalidation", key)
            return {}

    @operation()
    async def list_distributions(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = _page(self._control.all("distribution"), marker, max_items)
        summaries = [_summary(self._distribution(document)) for document in page]
        return {"DistributionList": _listing(summaries, marker, max_items, following)}

    def _found(self, identifier: str) -> Document:
        document = self._control.get("distribution", identifier)
        if document is None:
            raise ServiceError("NoSuchDistribution", "The specified distribution does not exist.", status=404)
        return document

    def _distribution(self, document: Document) -> Output:
        config = _full(document["config"])
        deployed = self._control.deployed(document["revision"])
        return {
            "Id": document["id"],
            "ARN": f"arn:aws:cloudfront::{self._account}:distribution/{document['id']}",
            "Status": "Deployed" if deployed else "InProgress",
            "LastModifiedTime": document["modified"],
            "InProgressInvalidationBatches": sum(
                not self._control.deployed(each["revision"])
                for each in self._control.all("invalidation").values()
                if each["distribution"] == document["id"]
            ),
            "DomainName": document["domain"],
            "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
            "ActiveTrustedKeyGroups": {"Enabled": False, "Quantity": 0},
            "DistributionConfig": config,
        }

    async def _check(self, config: Mapping[str, Any], own: str | None) -> None:
        """Everything that can be wrong with a configuration, before anything is stored."""
        check_honoured(config)
        self._check_aliases(config, own)
        origins = {item["Id"] for item in items(config, "Origins")}
        behaviours = [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]
        if not origins:
            raise _invalid("A distribution needs at least one origin.")
        for behaviour in behaviours:
            await self._check_behaviour(behaviour, origins)
        for origin in items(config, "Origins"):
            control = origin.get("OriginAccessControlId")
            if control and self._control.get("access-control", control) is None:
                raise ServiceError("NoSuchOriginAccessControl", "The origin access control does not exist.", status=404)
            if not origin.get("CustomOriginConfig") and not origin.get("S3OriginConfig"):
                raise ServiceError("InvalidOrigin", f"The origin {origin['Id']} is neither S3 nor custom.", status=400)
        policies = documents_of(self._control)
        compile_plan("check", "check", config, policies)

    def _check_aliases(self, config: Mapping[str, Any], own: str | None) -> None:
        mine = {name.lower() for name in items(config, "Aliases")}
        for document in self._control.all("distribution").values():
            taken = mine & {name.lower() for name in items(document["config"], "Aliases")}
            if document["id"] != own and taken:
                message = f"One or more of the CNAMEs you provided are already associated: {', '.join(sorted(taken))}"
                raise ServiceError("CNAMEAlreadyExists", message, status=409)

    async def _check_behaviour(self, behaviour: Mapping[str, Any], origins: set[str]) -> None:
        if behaviour["TargetOriginId"] not in origins:
            message = "One or more of your cache behaviors refer to an origin that does not exist."
            raise ServiceError("NoSuchOrigin", message, status=404)
        policy = behaviour.get("CachePolicyId")
        if policy and policy not in MANAGED_CACHE and self._control.get("cache-policy", policy) is None:
            raise ServiceError("NoSuchCachePolicy", "The cache policy does not exist.", status=404)
        if policy and behaviour.get("ForwardedValues"):
            raise _invalid("A cache behavior has either a cache policy or ForwardedValues, not both.")
        if not policy and not behaviour.get("ForwardedValues"):
            raise _invalid("A cache behavior needs a cache policy or ForwardedValues.")
        asked = behaviour.get("OriginRequestPolicyId")
        if asked and asked not in MANAGED_ORIGIN_REQUEST and self._control.get("origin-request-policy", asked) is None:
            raise ServiceError("NoSuchOriginRequestPolicy", "The origin request policy does not exist.", status=404)
        seen = set()
        for trigger in items(behaviour, "LambdaFunctionAssociations"):
            if trigger["EventType"] not in EVENTS or trigger["EventType"] in seen:
                raise _association(f"the event type {trigger['EventType']} is unknown or used twice")
            seen.add(trigger["EventType"])
            if not VERSION_ARN.match(trigger["LambdaFunctionARN"]):
                raise _association("the ARN must be that of a numbered version in us-east-1")
            if trigger.get("IncludeBody") and not trigger["EventType"].endswith("-request"):
                raise _association("IncludeBody is for request events only")
            if self._functions is not None:
                await self._functions.check_edge_function(trigger["LambdaFunctionARN"])

    # ------------------------------------------------------------------------------------ invalidations

    @operation()
    async def create_invalidation(
        self, call: Call, *, distribution_id: str, invalidation_batch: dict[str, Any]
    ) -> Output:
        """Completed once every edge location has dropped the paths."""
        async with self._control.changing:
            self._found(distribution_id)
            paths = items(invalidation_batch, "Paths")
            if not paths or any(not path.startswith("/") or "*" in path[:-1] for path in paths):
                message = "Your request contains one or more invalid invalidation paths."
                raise ServiceError("InvalidArgument", message, status=400)
            for key, each in self._control.all("invalidation").items():
                same = each["distribution"] == distribution_id
                if same and each["batch"]["CallerReference"] == invalidation_batch["CallerReference"]:
                    if each["batch"] != _plain(invalidation_batch):
                        message = "The caller reference was already used with another batch."
                        raise ServiceError("InvalidArgument", message, status=400)
                    return {"Invalidation": self._invalidation(key, each)}
            identifier = new_id("I")
            document = {"distribution": distribution_id, "batch": _plain(invalidation_batch), "created": call.now}
            await self._control.put("invalidation", identifier, document)
            location = f"{call.base_url}/2020-05-31/distribution/{distribution_id}/invalidation/{identifier}"
            return {"Location": location, "Invalidation": self._invalidation(identifier, document)}

    @operation()
    async def get_invalidation(self, call: Call, *, distribution_id: str, id: str) -> Output:
        self._found(distribution_id)
        document = self._control.get("invalidation", id)
        if document is None or document["distribution"] != distribution_id:
            raise ServiceError("NoSuchInvalidation", "The specified invalidation does not exist.", status=404)
        return {"Invalidation": self._invalidation(id, document)}

    @operation()
    async def list_invalidations(
        self, call: Call, *, distribution_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        self._found(distribution_id)
        mine = {
            key: {**each, "id": key}
            for key, each in self._control.all("invalidation").items()
            if each["distribution"] == distribution_id
        }
        page, following = _page(mine, marker, max_items)
        summaries = [
            {"Id": each["id"], "CreateTime": each["created"], "Status": self._invalidation_status(each)}
            for each in page
        ]
        return {"InvalidationList": _listing(summaries, marker, max_items, following)}

    def _invalidation(self, identifier: str, document: Document) -> Output:
        return {
            "Id": identifier,
            "Status": self._invalidation_status(document),
            "CreateTime": document["created"],
            "InvalidationBatch": document["batch"],
        }

    def _invalidation_status(self, document: Document) -> str:
        return "Completed" if self._control.deployed(document["revision"]) else "InProgress"

    # ----------------------------------------------------------------------------------------- policies

    @operation()
    async def create_cache_policy(self, call: Call, *, cache_policy_config: dict[str, Any]) -> Output:
        document = await self._create_policy("cache-policy", cache_policy_config, call)
        return {"CachePolicy": _policy(document, "CachePolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def get_cache_policy(self, call: Call, *, id: str) -> Output:
        document = self._policy("cache-policy", id)
        return {"CachePolicy": _policy(document, "CachePolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def get_cache_policy_config(self, call: Call, *, id: str) -> Output:
        document = self._policy("cache-policy", id)
        return {"CachePolicyConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_cache_policy(
        self,
        call: Call,
        *,
        id: str,
        cache_policy_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        document = await self._update_policy("cache-policy", id, cache_policy_config, if_match, call)
        return {"CachePolicy": _policy(document, "CachePolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def delete_cache_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        return await self._delete_policy("cache-policy", id, if_match)

    @operation()
    async def list_cache_policies(
        self,
        call: Call,
        *,
        type: str | None = None,
        marker: str | None = None,
        max_items: str | None = None,
    ) -> Output:
        found = self._policies("cache-policy", type)
        page, following = _page(found, marker, max_items)
        listed = [{"Type": each["type"], "CachePolicy": _policy(each, "CachePolicyConfig")} for each in page]
        return {"CachePolicyList": _policy_listing(listed, max_items, following)}

    @operation()
    async def create_origin_request_policy(self, call: Call, *, origin_request_policy_config: dict[str, Any]) -> Output:
        document = await self._create_policy("origin-request-policy", origin_request_policy_config, call)
        return {"OriginRequestPolicy": _policy(document, "OriginRequestPolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def get_origin_request_policy(self, call: Call, *, id: str) -> Output:
        document = self._policy("origin-request-policy", id)
        return {"OriginRequestPolicy": _policy(document, "OriginRequestPolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def get_origin_request_policy_config(self, call: Call, *, id: str) -> Output:
        document = self._policy("origin-request-policy", id)
        return {"OriginRequestPolicyConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_origin_request_policy(
        self,
        call: Call,
        *,
        id: str,
        origin_request_policy_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        document = await self._update_policy("origin-request-policy", id, origin_request_policy_config, if_match, call)
        return {"OriginRequestPolicy": _policy(document, "OriginRequestPolicyConfig"), "ETag": document["etag"]}

    @operation()
    async def delete_origin_request_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        return await self._delete_policy("origin-request-policy", id, if_match)

    @operation()
    async def list_origin_request_policies(
        self,
        call: Call,
        *,
        type: str | None = None,
        marker: str | None = None,
        max_items: str | None = None,
    ) -> Output:
        found = self._policies("origin-request-policy", type)
        page, following = _page(found, marker, max_items)
        listed = [
            {"Type": each["type"], "OriginRequestPolicy": _policy(each, "OriginRequestPolicyConfig")} for each in page
        ]
        return {"OriginRequestPolicyList": _policy_listing(listed, max_items, following)}

    async def _create_policy(self, kind: str, config: dict[str, Any], call: Call) -> Document:
        async with self._control.changing:
            taken = {each["config"]["Name"] for each in self._policies(kind, None).values()}
            if config["Name"] in taken:
                code = "CachePolicyAlreadyExists" if kind == "cache-policy" else "OriginRequestPolicyAlreadyExists"
                raise ServiceError(code, f"A policy named {config['Name']} exists.", status=409)
            identifier = str(uuid.uuid4())
            document = {"id": identifier, "config": _plain(config), "etag": new_id(), "modified": call.now}
            document["type"] = "custom"
            await self._control.put(kind, identifier, document)
            return document

    async def _update_policy(
        self, kind: str, identifier: str, config: dict[str, Any], if_match: str | None, call: Call
    ) -> Document:
        async with self._control.changing:
            document = dict(self._policy(kind, identifier))
            self._not_managed(document)
            _match(document, if_match)
            document |= {"config": _plain(config), "etag": new_id(), "modified": call.now}
            await self._control.put(kind, identifier, document)
            return document

    async def _delete_policy(self, kind: str, identifier: str, if_match: str | None) -> Output:
        async with self._control.changing:
            document = self._policy(kind, identifier)
            self._not_managed(document)
            _match(document, if_match)
            member, code = IN_USE[kind]
            for distribution in self._control.all("distribution").values():
                config = distribution["config"]
                for behaviour in [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]:
                    if behaviour.get(member) == identifier:
                        raise ServiceError(code, f"The policy is attached to {distribution['id']}.", status=409)
            await self._control.delete(kind, identifier)
            return {}

    def _policies(self, kind: str, which: str | None) -> dict[str, Document]:
        managed = MANAGED_CACHE if kind == "cache-policy" else MANAGED_ORIGIN_REQUEST
        found: dict[str, Document] = {}
        if which in {None, "managed"}:
            found |= {key: _managed(key, config) for key, config in managed.items()}
        if which in {None, "custom"}:
            found |= self._control.all(kind)
        return found

    def _policy(self, kind: str, identifier: str) -> Document:
        document = self._policies(kind, None).get(identifier)
        if document is None:
            code = "NoSuchCachePolicy" if kind == "cache-policy" else "NoSuchOriginRequestPolicy"
            raise ServiceError(code, "The policy does not exist.", status=404)
        return document

    def _not_managed(self, document: Document) -> None:
        if document["type"] == "managed":
            raise ServiceError("IllegalUpdate", "A managed policy may not be changed or deleted.", status=400)

    # ------------------------------------------------------------------------- origin access controls

    @operation()
    async def create_origin_access_control(self, call: Call, *, origin_access_control_config: dict[str, Any]) -> Output:
        config = origin_access_control_config
        if config["OriginAccessControlOriginType"] != "s3":
            kind = config["OriginAccessControlOriginType"]
            raise ServiceError("NotImplemented", f"Access controls for {kind} are not implemented here.", status=501)
        async with self._control.changing:
            if any(each["config"]["Name"] == config["Name"] for each in self._control.all("access-control").values()):
                message = f"An origin access control named {config['Name']} exists."
                raise ServiceError("OriginAccessControlAlreadyExists", message, status=409)
            identifier = new_id()
            document = {"id": identifier, "config": _plain(config), "etag": new_id()}
            await self._control.put("access-control", identifier, document)
        found = {"Id": identifier, "OriginAccessControlConfig": document["config"]}
        location = f"{call.base_url}/2020-05-31/origin-access-control/{identifier}"
        return {"OriginAccessControl": found, "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_origin_access_control(self, call: Call, *, id: str) -> Output:
        document = self._access_control(id)
        found = {"Id": id, "OriginAccessControlConfig": document["config"]}
        return {"OriginAccessControl": found, "ETag": document["etag"]}

    @operation()
    async def list_origin_access_controls(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = _page(self._control.all("access-control"), marker, max_items)
        listed = [{"Id": each["id"], "Description": "", **each["config"]} for each in page]
        return {"OriginAccessControlList": _listing(listed, marker, max_items, following)}

    @operation()
    async def delete_origin_access_control(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            _match(self._access_control(id), if_match)
            for distribution in self._control.all("distribution").values():
                if any(item.get("OriginAccessControlId") == id for item in items(distribution["config"], "Origins")):
                    message = f"The origin access control is used by {distribution['id']}."
                    raise ServiceError("OriginAccessControlInUse", message, status=409)
            await self._control.delete("access-control", id)
            return {}

    def _access_control(self, identifier: str) -> Document:
        document = self._control.get("access-control", identifier)
        if document is None:
            raise ServiceError("NoSuchOriginAccessControl", "The origin access control does not exist.", status=404)
        return document

    # --------------------------------------------------------------------------------------------- tags

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource: str) -> Output:
        document = self._control.get("tags", self._tagged(resource))
        return {"Tags": {"Items": document["tags"] if document else []}}

    @operation()
    async def tag_resource(self, call: Call, *, resource: str, tags: dict[str, Any]) -> Output:
        identifier = self._tagged(resource)
        async with self._control.changing:
            document = self._control.get("tags", identifier) or {"tags": []}
            new = list(tags.get("Items") or ())
            names = {tag["Key"] for tag in new}
            kept = [tag for tag in document["tags"] if tag["Key"] not in names]
            await self._control.put("tags", identifier, {"tags": kept + new}, deploy=False)
        return {}

    def _tagged(self, resource: str) -> str:
        identifier = resource.rpartition("/")[2]
        if self._control.get("distribution", identifier) is None:
            raise ServiceError("NoSuchResource", "The resource does not exist.", status=404)
        return identifier


# ------------------------------------------------------------------------------------------------- parts


def documents_of(control: Control) -> dict[str, Document]:
    """Every policy and access control that a plan may refer to, by id."""
    found: dict[str, Document] = {**MANAGED_CACHE, **MANAGED_ORIGIN_REQUEST}
    for kind in ("cache-policy", "origin-request-policy", "access-control"):
        found |= {key: document["config"] for key, document in control.all(kind).items()}
    return found


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidArgument", message, status=400)


def _association(reason: str) -> ServiceError:
    return ServiceError("InvalidLambdaFunctionAssociation", f"The Lambda function association is invalid: {reason}.")


def _match(document: Document, given: str | None) -> None:
    if not given:
        message = "The If-Match version is missing or not valid for the resource."
        raise ServiceError("InvalidIfMatchVersion", message, status=400)
    if given != document["etag"]:
        message = "The request failed because it didn't meet the preconditions in one or more request-header fields."
        raise ServiceError("PreconditionFailed", message, status=412)


def _plain(config: Mapping[str, Any]) -> Document:
    """A deep copy that JSON can hold."""
    copied: Document = json.loads(json.dumps(config))
    return copied


def _full(config: Document) -> Document:
    """A configuration as CloudFront hands it back: with the members it fills in itself."""
    full = copy.deepcopy(config)
    for name in ("Aliases", "CacheBehaviors", "CustomErrorResponses", "OriginGroups"):
        full.setdefault(name, {"Quantity": 0})
    full.setdefault("DefaultRootObject", "")
    full.setdefault("PriceClass", "PriceClass_All")
    full.setdefault("Logging", {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""})
    full.setdefault("ViewerCertificate", {"CloudFrontDefaultCertificate": True})
    full.setdefault("Restrictions", {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}})
    full.setdefault("WebACLId", "")
    full.setdefault("HttpVersion", "http1.1")
    full.setdefault("IsIPV6Enabled", False)
    for behaviour in [full["DefaultCacheBehavior"], *items(full, "CacheBehaviors")]:
        behaviour.setdefault("TrustedSigners", {"Enabled": False, "Quantity": 0})
        behaviour.setdefault("TrustedKeyGroups", {"Enabled": False, "Quantity": 0})
        behaviour.setdefault("LambdaFunctionAssociations", {"Quantity": 0})
        behaviour.setdefault("FunctionAssociations", {"Quantity": 0})
        behaviour.setdefault("SmoothStreaming", False)
        behaviour.setdefault("Compress", False)
        behaviour.setdefault("FieldLevelEncryptionId", "")
        behaviour.setdefault(
            "AllowedMethods",
            {
                "Quantity": 2,
                "Items": ["HEAD", "GET"],
                "CachedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
            },
        )
    for origin in items(full, "Origins"):
        origin.setdefault("OriginPath", "")
        origin.setdefault("CustomHeaders", {"Quantity": 0})
        origin.setdefault("ConnectionAttempts", 3)
        origin.setdefault("ConnectionTimeout", 10)
        origin.setdefault("OriginShield", {"Enabled": False})
        origin.setdefault("OriginAccessControlId", "")
    return full


def _summary(distribution: Output) -> Output:
    config = distribution["DistributionConfig"]
    taken = (
        "Aliases Origins OriginGroups DefaultCacheBehavior CacheBehaviors CustomErrorResponses Comment PriceClass "
        "Enabled ViewerCertificate Restrictions WebACLId HttpVersion IsIPV6Enabled"
    ).split()
    own = {name: distribution[name] for name in ("Id", "ARN", "Status", "LastModifiedTime", "DomainName")}
    return {**own, **{name: config[name] for name in taken}, "Staging": False}


def _policy(document: Document, member: str) -> Output:
    return {"Id": document["id"], "LastModifiedTime": document["modified"], member: document["config"]}


def _managed(identifier: str, config: Document) -> Document:
    etag = "E" + hashlib.sha256(identifier.encode()).hexdigest()[:13].upper()
    return {"id": identifier, "config": config, "etag": etag, "modified": 1580000000.0, "type": "managed"}


def _page(
    found: Mapping[str, Document], marker: str | None, max_items: str | None
) -> tuple[list[Document], str | None]:
    count = int(max_items) if max_items and max_items.isdigit() else 100
    keys = [key for key in sorted(found) if not marker or key > marker]
    following = keys[count - 1] if len(keys) > count else None
    return [found[key] for key in keys[:count]], following


def _listing(listed: list[Output], marker: str | None, max_items: str | None, following: str | None) -> Output:
    page: Output = {
        "Marker": marker or "",
        "MaxItems": int(max_items) if max_items and max_items.isdigit() else 100,
        "IsTruncated": following is not None,
        "Quantity": len(listed),
    }
    if listed:
        page["Items"] = listed
    if following is not None:
        page["NextMarker"] = following
    return page


def _policy_listing(listed: list[Output], max_items: str | None, following: str | None) -> Output:
    page = _listing(listed, None, max_items, following)
    return {name: value for name, value in page.items() if name not in {"Marker", "IsTruncated"}}
