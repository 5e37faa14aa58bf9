"""What the three kinds of policies have in common: names, ETags, managed ones, who uses them, how many there may be."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.aws.service import Call, Output, ServiceError
from littoral.edge.api.parts import Operations, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST, MANAGED_RESPONSE_HEADERS
from littoral.store.documents import Document


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """``noun`` is what the modelled errors and members are named by."""

    kind: str  # of Control's documents
    noun: str
    plural: str
    member: str  # of a cache behaviour
    managed: Mapping[str, Document]
    path: str
    most: int = 20  # "Quotas on policies"


CACHE = PolicyKind("cache-policy", "CachePolicy", "CachePolicies", "CachePolicyId", MANAGED_CACHE, "cache-policy")
ORIGIN_REQUEST = PolicyKind(
    "origin-request-policy",
    "OriginRequestPolicy",
    "OriginRequestPolicies",
    "OriginRequestPolicyId",
    MANAGED_ORIGIN_REQUEST,
    "origin-request-policy",
)
RESPONSE_HEADERS = PolicyKind(
    "response-headers-policy",
    "ResponseHeadersPolicy",
    "ResponseHeadersPolicies",
    "ResponseHeadersPolicyId",
    MANAGED_RESPONSE_HEADERS,
    "response-headers-policy",
)
KINDS = (CACHE, ORIGIN_REQUEST, RESPONSE_HEADERS)
Check = Callable[[Mapping[str, Any]], None]


class PolicyStore(Operations):
    """Mixed into each kind's operations."""

    async def _create_policy(self, kind: PolicyKind, config: dict[str, Any], check: Check, call: Call) -> Output:
        check(config)
        async with self._control.changing:
            self._check_policy_name(kind, config["Name"], None)
            if len(self._control.all(kind.kind)) >= kind.most:
                message = f"You have reached the maximum of {kind.most} policies of this kind."
                raise ServiceError(f"TooMany{kind.plural}", message, status=400)
            identifier = str(uuid.uuid4())
            document = {"id": identifier, "config": plain(config), "etag": new_id(), "modified": call.now}
            document["type"] = "custom"
            await self._control.put(kind.kind, identifier, document)
        location = f"{call.base_url}/2020-05-31/{kind.path}/{identifier}"
        return {kind.noun: _shown(document, kind), "Location": location, "ETag": document["etag"]}

    def _get_policy(self, kind: PolicyKind, identifier: str) -> Output:
        document = self._policy(kind, identifier)
        return {kind.noun: _shown(document, kind), "ETag": document["etag"]}

    def _get_policy_config(self, kind: PolicyKind, identifier: str) -> Output:
        document = self._policy(kind, identifier)
        return {f"{kind.noun}Config": document["config"], "ETag": document["etag"]}

    async def _update_policy(
        self, kind: PolicyKind, identifier: str, config: dict[str, Any], check: Check, if_match: str | None, call: Call
    ) -> Output:
        check(config)
        async with self._control.changing:
            document = dict(self._policy(kind, identifier))
            if document["type"] == "managed":
                raise ServiceError("IllegalUpdate", "You cannot update a managed policy.", status=400)
            match_etag(document, if_match)
            self._check_policy_name(kind, config["Name"], identifier)
            document |= {"config": plain(config), "etag": new_id(), "modified": call.now}
            await self._control.put(kind.kind, identifier, document)
            return {kind.noun: _shown(document, kind), "ETag": document["etag"]}

    async def _delete_policy(self, kind: PolicyKind, identifier: str, if_match: str | None) -> Output:
        async with self._control.changing:
            document = self._policy(kind, identifier)
            if document["type"] == "managed":
                raise ServiceError("IllegalDelete", "You cannot delete a managed policy.", status=400)
            match_etag(document, if_match)
            for distribution in self._control.all("distribution").values():
                if uses(distribution["config"], kind, identifier):
                    message = f"The policy is attached to {distribution['id']}."
                    raise ServiceError(f"{kind.noun}InUse", message, status=409)
            await self._control.delete(kind.kind, identifier)
            return {}

    def _list_policies(
        self, kind: PolicyKind, which: str | None, marker: str | None, max_items: str | None
    ) -> dict[str, Any]:
        if which not in {None, "managed", "custom"}:
            raise ServiceError("InvalidArgument", "Type is managed or custom.", status=400)
        page, following = page_of(self._policies(kind, which), marker, max_items)
        listed = [{"Type": each["type"], kind.noun: _shown(each, kind)} for each in page]
        shown = listing(listed, None, max_items, following)
        kept = {name: value for name, value in shown.items() if name not in {"Marker", "IsTruncated"}}
        return {f"{kind.noun}List": kept}

    def _policies(self, kind: PolicyKind, which: str | None) -> dict[str, Document]:
        found: dict[str, Document] = {}
        if which in {None, "managed"}:
            found |= {key: _managed(key, config) for key, config in kind.managed.items()}
        if which in {None, "custom"}:
            found |= self._control.all(kind.kind)
        return found

    def _policy(self, kind: PolicyKind, identifier: str) -> Document:
        if identifier in kind.managed:
            return _managed(identifier, kind.managed[identifier])
        document = self._control.get(kind.kind, identifier)
        if document is None:
            raise ServiceError(f"NoSuch{kind.noun}", "The policy does not exist.", status=404)
        return document

    def _check_policy_name(self, kind: PolicyKind, name: str, own: str | None) -> None:
        taken = {key for key, each in self._policies(kind, None).items() if each["config"]["Name"] == name}
        if taken - {own}:
            raise ServiceError(f"{kind.noun}AlreadyExists", f"A policy named {name} exists.", status=409)


def uses(config: Document, kind: PolicyKind, identifier: str) -> bool:
    """Whether a distribution's configuration refers to that policy."""
    behaviours = [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]
    return any(behaviour.get(kind.member) == identifier for behaviour in behaviours)


def _shown(document: Document, kind: PolicyKind) -> Output:
    config = document["config"]
    return {"Id": document["id"], "LastModifiedTime": document["modified"], f"{kind.noun}Config": config}


def _managed(identifier: str, config: Document) -> Document:
    etag = "E" + hashlib.sha256(identifier.encode()).hexdigest()[:13].upper()
    return {"id": identifier, "config": config, "etag": etag, "modified": 1580000000.0, "type": "managed"}
