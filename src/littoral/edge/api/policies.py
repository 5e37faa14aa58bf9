"""Cache policies, origin request policies and response headers policies, the managed ones among them."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.edge.api.policychecks import (
    check_cache,
    check_origin_request,
    check_response_headers,
)
from littoral.edge.api.policykinds import CACHE, ORIGIN_REQUEST, RESPONSE_HEADERS, PolicyStore


class CachePolicyOperations(PolicyStore):
    """Create, get, update, delete, list."""

    @operation()
    async def create_cache_policy(self, call: Call, *, cache_policy_config: dict[str, Any]) -> Output:
        return await self._create_policy(CACHE, cache_policy_config, check_cache, call)

    @operation()
    async def get_cache_policy(self, call: Call, *, id: str) -> Output:
        return self._get_policy(CACHE, id)

    @operation()
    async def get_cache_policy_config(self, call: Call, *, id: str) -> Output:
        return self._get_policy_config(CACHE, id)

    @operation()
    async def update_cache_policy(
        self, call: Call, *, id: str, cache_policy_config: dict[str, Any], if_match: str | None = None
    ) -> Output:
        return await self._update_policy(CACHE, id, cache_policy_config, check_cache, if_match, call)

    @operation()
    async def delete_cache_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        return await self._delete_policy(CACHE, id, if_match)

    @operation()
    async def list_cache_policies(
        self, call: Call, *, type: str | None = None, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._list_policies(CACHE, type, marker, max_items)


class OriginRequestPolicyOperations(PolicyStore):
    """Create, get, update, delete, list."""

    @operation()
    async def create_origin_request_policy(self, call: Call, *, origin_request_policy_config: dict[str, Any]) -> Output:
        return await self._create_policy(ORIGIN_REQUEST, origin_request_policy_config, check_origin_request, call)

    @operation()
    async def get_origin_request_policy(self, call: Call, *, id: str) -> Output:
        return self._get_policy(ORIGIN_REQUEST, id)

    @operation()
    async def get_origin_request_policy_config(self, call: Call, *, id: str) -> Output:
        return self._get_policy_config(ORIGIN_REQUEST, id)

    @operation()
    async def update_origin_request_policy(
        self, call: Call, *, id: str, origin_request_policy_config: dict[str, Any], if_match: str | None = None
    ) -> Output:
        return await self._update_policy(
            ORIGIN_REQUEST, id, origin_request_policy_config, check_origin_request, if_match, call
        )

    @operation()
    async def delete_origin_request_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        return await self._delete_policy(ORIGIN_REQUEST, id, if_match)

    @operation()
    async def list_origin_request_policies(
        self, call: Call, *, type: str | None = None, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._list_policies(ORIGIN_REQUEST, type, marker, max_items)


class ResponseHeadersPolicyOperations(PolicyStore):
    """Create, get, update, delete, list."""

    @operation()
    async def create_response_headers_policy(
        self, call: Call, *, response_headers_policy_config: dict[str, Any]
    ) -> Output:
        return await self._create_policy(RESPONSE_HEADERS, response_headers_policy_config, check_response_headers, call)

    @operation()
    async def get_response_headers_policy(self, call: Call, *, id: str) -> Output:
        return self._get_policy(RESPONSE_HEADERS, id)

    @operation()
    async def get_response_headers_policy_config(self, call: Call, *, id: str) -> Output:
        return self._get_policy_config(RESPONSE_HEADERS, id)

    @operation()
    async def update_response_headers_policy(
        self, call: Call, *, id: str, response_headers_policy_config: dict[str, Any], if_match: str | None = None
    ) -> Output:
        return await self._update_policy(
            RESPONSE_HEADERS, id, response_headers_policy_config, check_response_headers, if_match, call
        )

    @operation()
    async def delete_response_headers_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        return await self._delete_policy(RESPONSE_HEADERS, id, if_match)

    @operation()
    async def list_response_headers_policies(
        self, call: Call, *, type: str | None = None, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._list_policies(RESPONSE_HEADERS, type, marker, max_items)


class PolicyOperations(CachePolicyOperations, OriginRequestPolicyOperations, ResponseHeadersPolicyOperations):
    """Of all three kinds."""
