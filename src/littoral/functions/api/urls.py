"""Function URLs: create, get, update, delete, list."""

from __future__ import annotations

import secrets
import string
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import PAGE, Operations, page, with_marker
from littoral.functions.names import LATEST, Reference, conflict, invalid, is_number, not_found
from littoral.functions.version import Function, iso_time

ALPHABET = string.ascii_lowercase + string.digits
METHODS = frozenset(("GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"))


class UrlOperations(Operations):
    @operation()
    async def create_function_url_config(
        self,
        call: Call,
        *,
        function_name: str,
        auth_type: str,
        qualifier: str | None = None,
        cors: dict[str, Any] | None = None,
        invoke_mode: str = "BUFFERED",
    ) -> Output:
        reference = self._url_of(function_name, qualifier)
        _check(auth_type, cors, invoke_mode)
        async with self._catalog.lock(reference.name):
            self._check_holder(reference)
            function, key = self._url_holder(reference)
            if key in function.urls:
                raise conflict(
                    f"Failed to create function url config for [functionArn = {self._url_holder_arn(reference)}]. "
                    "Error message:  FunctionUrlConfig exists for this Lambda function"
                )
            now = iso_time(call.now)
            identifier = "".join(secrets.choice(ALPHABET) for _ in range(32))
            made = {"id": identifier, "auth": auth_type, "cors": cors or {}, "mode": invoke_mode}
            made |= {"created": now, "modified": now}
            await self._catalog.save(replace(function, urls={**function.urls, key: made}))
        return self._shown_url(call, reference, made, created=True)

    @operation()
    async def get_function_url_config(self, call: Call, *, function_name: str, qualifier: str | None = None) -> Output:
        reference = self._url_of(function_name, qualifier)
        return self._shown_url(call, reference, self._with_url(reference)[2])

    @operation()
    async def update_function_url_config(
        self,
        call: Call,
        *,
        function_name: str,
        qualifier: str | None = None,
        auth_type: str | None = None,
        cors: dict[str, Any] | None = None,
        invoke_mode: str | None = None,
    ) -> Output:
        reference = self._url_of(function_name, qualifier)
        _check(auth_type, cors, invoke_mode)
        async with self._catalog.lock(reference.name):
            self._check_holder(reference)
            function, key, present = self._with_url(reference)
            changes = {"auth": auth_type, "cors": cors, "mode": invoke_mode, "modified": iso_time(call.now)}
            made = present | {name: value for name, value in changes.items() if value is not None}
            await self._catalog.save(replace(function, urls={**function.urls, key: made}))
        return self._shown_url(call, reference, made)

    @operation()
    async def delete_function_url_config(
        self, call: Call, *, function_name: str, qualifier: str | None = None
    ) -> Output:
        reference = self._url_of(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            function, key, _ = self._with_url(reference)
            left = {name: value for name, value in function.urls.items() if name != key}
            await self._catalog.save(replace(function, urls=left))
        return {}

    @operation()
    async def list_function_url_configs(
        self, call: Call, *, function_name: str, marker: str | None = None, max_items: int = PAGE
    ) -> Output:
        reference = self._unqualified(function_name)
        self._check_holder(reference)
        function = self._catalog.get(reference.name)
        keys, following = page(sorted(function.urls), str, marker, min(max_items, PAGE))
        shown = [self._shown_url(call, Reference(reference.name, key or None), function.urls[key]) for key in keys]
        return with_marker({"FunctionUrlConfigs": shown}, following)

    def _url_of(self, function_name: str, qualifier: str | None) -> Reference:
        reference = self._home.parse(function_name, qualifier)
        if reference.qualifier is not None and (reference.qualifier == LATEST or is_number(reference.qualifier)):
            raise invalid("A function URL is of the function or of an alias, not of a version")
        return reference

    def _check_holder(self, reference: Reference) -> None:
        try:
            self._catalog.version(reference)
        except ServiceError:
            raise not_found("Function does not exist") from None

    def _url_holder(self, reference: Reference) -> tuple[Function, str]:
        return self._catalog.get(reference.name), reference.qualifier or ""

    def _with_url(self, reference: Reference) -> tuple[Function, str, dict[str, Any]]:
        function, key = self._catalog.find(reference.name), reference.qualifier or ""
        if function is None or key not in function.urls:
            raise not_found("The resource you requested does not exist.")
        return function, key, function.urls[key]

    def _url_holder_arn(self, reference: Reference) -> str:
        return self._home.arn(reference.name, reference.qualifier)

    def _shown_url(
        self, call: Call, reference: Reference, config: dict[str, Any], *, created: bool = False
    ) -> dict[str, Any]:
        _, colon, port = (call.request.headers.get("host") or "").rpartition(":")
        place = f"{config['id']}.lambda-url.{self._home.region}.localhost{colon}{port if colon else ''}"
        shown = {
            "FunctionUrl": f"{'https' if call.request.peer.tls else 'http'}://{place}/",
            "FunctionArn": self._url_holder_arn(reference),
            "AuthType": config["auth"],
            "CreationTime": config["created"],
            "InvokeMode": config["mode"],
        }
        if config["cors"]:
            shown["Cors"] = config["cors"]
        return shown if created else shown | {"LastModifiedTime": config["modified"]}


def _check(auth_type: str | None, cors: dict[str, Any] | None, invoke_mode: str | None) -> None:
    if auth_type not in (None, "NONE", "AWS_IAM"):
        raise invalid(f"AuthType must be NONE or AWS_IAM, not {auth_type[:50]}")
    if invoke_mode not in (None, "BUFFERED", "RESPONSE_STREAM"):
        raise invalid(f"InvokeMode must be BUFFERED or RESPONSE_STREAM, not {invoke_mode[:50]}")
    for method in (cors or {}).get("AllowMethods") or []:
        if method not in METHODS:
            raise invalid(f"{method[:20]} is not a method of AllowMethods")
