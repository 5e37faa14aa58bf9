"""Custom authorizers: functions that let in who has no certificate (``things/authorizers``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.customauth import Http, Mqtt, Presented
from littoral.things.authorizers import Authorizer, Authorizers, NotAdmitted
from littoral.things.authorizers.authorizers import BUSY
from littoral.things.authorizers.signatures import public_key
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import delete_conflict, exists, invalid, not_found
from littoral.things.control.tagging import TagList
from littoral.things.domains import Domains

_FUNCTION = re.compile(r"arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:[\w-]+(:[\w$-]+)?", re.ASCII)


class CustomAuthorizers(Noun):
    """``authorizers`` and ``domains`` are set when the API is composed."""

    authorizers: Authorizers
    domains: Domains

    def _authorizer(self, name: str) -> Authorizer:
        found = self.authorizers.table.get(name)
        if found is None:
            raise not_found(f"Authorizer {name} cannot be found.")
        return found

    def _called(self, name: str) -> Output:
        return {"authorizerName": name, "authorizerArn": self.names.arn("authorizer", name)}

    @operation()
    async def create_authorizer(
        self,
        call: Call,
        *,
        authorizer_name: str,
        authorizer_function_arn: str,
        token_key_name: str | None = None,
        token_signing_public_keys: Mapping[str, str] | None = None,
        status: str = "INACTIVE",
        tags: TagList = (),
        signing_disabled: bool = False,
        enable_caching_for_http: bool = False,
    ) -> Output:
        """That the function is there, and lets IoT invoke it, is found out when it is asked."""
        made = Authorizer(
            authorizer_name,
            authorizer_function_arn,
            status,
            call.now,
            call.now,
            not signing_disabled,
            token_key_name,
            dict(token_signing_public_keys or {}),
            enable_caching_for_http,
        )
        _check(made)
        called = self._called(authorizer_name)
        async with self.registry.changing:
            if authorizer_name in self.authorizers.table:
                raise exists(f"Authorizer {authorizer_name} already exists.", called["authorizerArn"], authorizer_name)
            await self.tag_new(called["authorizerArn"], call.now, tags)
            await self.authorizers.put(made)
        return called

    @operation()
    async def update_authorizer(
        self,
        call: Call,
        *,
        authorizer_name: str,
        authorizer_function_arn: str | None = None,
        token_key_name: str | None = None,
        token_signing_public_keys: Mapping[str, str] | None = None,
        status: str | None = None,
        enable_caching_for_http: bool | None = None,
    ) -> Output:
        """Connections that it let in are asked about again at their next refresh."""
        async with self.registry.changing:
            found = self._authorizer(authorizer_name)
            cached = found.cached if enable_caching_for_http is None else enable_caching_for_http
            changed = replace(
                found,
                function=authorizer_function_arn or found.function,
                token_key=token_key_name or found.token_key,
                keys=found.keys if token_signing_public_keys is None else dict(token_signing_public_keys),
                status=status or found.status,
                cached=cached,
                modified=call.now,
            )
            _check(changed)
            await self.authorizers.put(changed)
        return self._called(authorizer_name)

    @operation()
    async def delete_authorizer(self, call: Call, *, authorizer_name: str) -> Output:
        async with self.registry.changing:
            found = self._authorizer(authorizer_name)
            if found.status == "ACTIVE":
                raise delete_conflict(f"Authorizer {authorizer_name} is ACTIVE: make it INACTIVE first")
            if self.authorizers.default == authorizer_name:
                raise delete_conflict(f"Authorizer {authorizer_name} is the default: clear that first")
            domain = next((one.name for one in self.domains.table.values() if one.authorizer == authorizer_name), None)
            if domain is not None:
                raise delete_conflict(f"Authorizer {authorizer_name} is that of the domain configuration {domain}")
            await self.authorizers.delete(authorizer_name)
        return {}

    @operation()
    async def describe_authorizer(self, call: Call, *, authorizer_name: str) -> Output:
        return {"authorizerDescription": self._description(self._authorizer(authorizer_name))}

    def _description(self, found: Authorizer) -> Output:
        key = {"tokenKeyName": found.token_key} if found.token_key is not None else {}
        return {
            **self._called(found.name),
            **key,
            "authorizerFunctionArn": found.function,
            "tokenSigningPublicKeys": found.keys,
            "status": found.status,
            "creationDate": found.created,
            "lastModifiedDate": found.modified,
            "signingDisabled": not found.signed,
            "enableCachingForHttp": found.cached,
        }

    @operation()
    async def list_authorizers(
        self,
        call: Call,
        *,
        page_size: int | None = None,
        marker: str | None = None,
        ascending_order: bool = False,
        status: str | None = None,
    ) -> Output:
        rows = (
            (one.created, one.name, self._called(one.name))
            for one in self.authorizers.table.values()
            if status in (None, one.status)
        )
        found, token = pages.by_age(rows, marker, ascending_order, pages.size(page_size))
        return pages.with_token({"authorizers": found}, "nextMarker", token)

    # ---------------------------------------------------------------------------------------- the default

    @operation()
    async def set_default_authorizer(self, call: Call, *, authorizer_name: str) -> Output:
        async with self.registry.changing:
            self._authorizer(authorizer_name)
            default, called = self.authorizers.default, self._called(authorizer_name)
            if default is not None and default != authorizer_name:
                raise exists(f"The default authorizer is {default}: clear that first", called["authorizerArn"], default)
            await self.authorizers.set_default(authorizer_name)
        return called

    @operation()
    async def clear_default_authorizer(self, call: Call) -> Output:
        async with self.registry.changing:
            self._default()
            await self.authorizers.set_default(None)
        return {}

    @operation()
    async def describe_default_authorizer(self, call: Call) -> Output:
        return {"authorizerDescription": self._description(self._authorizer(self._default()))}

    def _default(self) -> str:
        if self.authorizers.default is None:
            raise not_found("There is no default authorizer.")
        return self.authorizers.default

    # ---------------------------------------------------------------------------------------------- trying

    @operation()
    async def test_invoke_authorizer(
        self,
        call: Call,
        *,
        authorizer_name: str,
        token: str | None = None,
        token_signature: str | None = None,
        http_context: Mapping[str, Any] | None = None,
        mqtt_context: Mapping[str, Any] | None = None,
        tls_context: Mapping[str, Any] | None = None,
    ) -> Output:
        """Also of an authorizer that is not active."""
        presented = _presented(call.request_id, http_context, mqtt_context, tls_context)
        try:
            answer = await self.authorizers.answer(self._authorizer(authorizer_name), presented, token, token_signature)
        except NotAdmitted as problem:
            raise _modelled(problem) from None
        if not answer.authenticated:
            return {"isAuthenticated": False}
        return {
            "isAuthenticated": True,
            "principalId": answer.principal,
            "policyDocuments": list(answer.policies),
            "refreshAfterInSeconds": answer.refresh_after,
            "disconnectAfterInSeconds": answer.disconnect_after,
        }


def _check(made: Authorizer) -> None:
    if not _FUNCTION.fullmatch(made.function):
        raise invalid("authorizerFunctionArn must be the ARN of a function")
    if made.signed and not (made.token_key and made.keys):
        raise invalid("tokenKeyName and tokenSigningPublicKeys are needed unless signing is disabled")
    for name, pem in made.keys.items():
        try:
            public_key(pem)
        except ValueError as problem:
            raise invalid(f"tokenSigningPublicKeys, {name[:128]!r}: {problem}") from None


def _presented(
    connection: str, http: Mapping[str, Any] | None, mqtt: Mapping[str, Any] | None, tls: Mapping[str, Any] | None
) -> Presented:
    headers = {name.lower(): value for name, value in (http or {}).get("headers", {}).items()}
    shown = mqtt or {}
    return Presented(
        connection,
        tls is not None,
        (tls or {}).get("serverName"),
        None if http is None else Http(headers, http.get("queryString", "").removeprefix("?")),
        None if mqtt is None else Mqtt(shown.get("username"), shown.get("password"), shown.get("clientId")),
    )


def _modelled(problem: NotAdmitted) -> ServiceError:
    if problem.why in (BUSY, "FUNCTION_THROTTLED"):
        return ServiceError("ThrottlingException", str(problem), status=400)
    if problem.why in ("BAD_TOKEN_SIGNATURE", "FUNCTION_NOT_PERMITTED"):
        return ServiceError("UnauthorizedException", str(problem), status=401)
    return ServiceError("InvalidResponseException", str(problem), status=400)
