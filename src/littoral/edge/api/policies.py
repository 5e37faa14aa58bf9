"""Cache policies and origin request policies, the managed ones among them."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.honoured import check_policy
from littoral.edge.plan import items
from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST
from littoral.store.documents import Document

IN_USE = {
    "cache-policy": ("CachePolicyId", "CachePolicyInUse"),
    "origin-request-policy": ("OriginRequestPolicyId", "OriginRequestPolicyInUse"),
}


class PolicyOperations(Operations):
    """Of both kinds: create, get, update, delete, list."""

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
        page, following = page_of(found, marker, max_items)
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
        page, following = page_of(found, marker, max_items)
        listed = [
            {"Type": each["type"], "OriginRequestPolicy": _policy(each, "OriginRequestPolicyConfig")} for each in page
        ]
        return {"OriginRequestPolicyList": _policy_listing(listed, max_items, following)}

    async def _create_policy(self, kind: str, config: dict[str, Any], call: Call) -> Document:
        check_policy(config)
        async with self._control.changing:
            taken = {each["config"]["Name"] for each in self._policies(kind, None).values()}
            if config["Name"] in taken:
                code = "CachePolicyAlreadyExists" if kind == "cache-policy" else "OriginRequestPolicyAlreadyExists"
                raise ServiceError(code, f"A policy named {config['Name']} exists.", status=409)
            identifier = str(uuid.uuid4())
            document = {"id": identifier, "config": plain(config), "etag": new_id(), "modified": call.now}
            document["type"] = "custom"
            await self._control.put(kind, identifier, document)
            return document

    async def _update_policy(
        self, kind: str, identifier: str, config: dict[str, Any], if_match: str | None, call: Call
    ) -> Document:
        check_policy(config)
        async with self._control.changing:
            document = dict(self._policy(kind, identifier))
            self._not_managed(document)
            match_etag(document, if_match)
            document |= {"config": plain(config), "etag": new_id(), "modified": call.now}
            await self._control.put(kind, identifier, document)
            return document

    async def _delete_policy(self, kind: str, identifier: str, if_match: str | None) -> Output:
        async with self._control.changing:
            document = self._policy(kind, identifier)
            self._not_managed(document)
            match_etag(document, if_match)
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


def _policy(document: Document, member: str) -> Output:
    return {"Id": document["id"], "LastModifiedTime": document["modified"], member: document["config"]}


def _managed(identifier: str, config: Document) -> Document:
    etag = "E" + hashlib.sha256(identifier.encode()).hexdigest()[:13].upper()
    return {"id": identifier, "config": config, "etag": etag, "modified": 1580000000.0, "type": "managed"}


def _policy_listing(listed: list[Output], max_items: str | None, following: str | None) -> Output:
    page = listing(listed, None, max_items, following)
    return {name: value for name, value in page.items() if name not in {"Marker", "IsTruncated"}}
