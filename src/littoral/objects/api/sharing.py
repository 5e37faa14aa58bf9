"""A bucket's CORS rules, and the answers that browsers get by them."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.message import Request, Response
from littoral.objects import cors
from littoral.objects.api.parts import Operations
from littoral.objects.cors import Rule
from littoral.objects.errors import error


class SharingOperations(Operations):
    @operation(harmless={"ContentMD5", "ChecksumAlgorithm"})
    async def put_bucket_cors(
        self,
        call: Call,
        *,
        bucket: str,
        cors_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "cors", cors.checked(cors_configuration))
        return {}

    @operation()
    async def get_bucket_cors(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).cors
        if kept is None:
            message = "The CORS configuration does not exist"
            raise error("NoSuchCORSConfiguration", message, BucketName=bucket)
        return {"CORSRules": [rule.shown() for rule in cors.loaded(kept)]}

    @operation()
    async def delete_bucket_cors(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "cors", None)
        return {}

    def preflight(self, request: Request, path: str) -> None:
        """What the rules say of a browser's question, into ``share``'s hands. Raises BadRequest, AccessForbidden."""
        origin, method = request.headers.get("origin"), request.headers.get("access-control-request-method")
        if origin is None:
            raise error("BadRequest", "Insufficient information. Origin request header needed.")
        if method is None:
            raise error("BadRequest", "Invalid Access-Control-Request-Method: null")
        if self._rule(request, path, origin, method) is None:
            message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin,"
            message += " request method / Access-Control-Request-Method or Access-Control-Request-Headers are not"
            raise error("AccessForbidden", f"{message} whitelisted by the resource's CORS spec.")

    def share(self, request: Request, path: str, response: Response) -> None:
        """Let a page of another origin see the answer, where a rule allows that."""
        origin = request.headers.get("origin")
        if origin is None:
            return
        method = request.headers.get("access-control-request-method") or request.method
        rule = self._rule(request, path, origin, method)
        for name, value in rule.answer(origin, self._headers(request)) if rule is not None else ():
            response.headers.set(name, value)

    def _rule(self, request: Request, path: str, origin: str, method: str) -> Rule | None:
        try:
            kept = self._index.bucket(unquote(path.split("/", 2)[1])).cors
        except ServiceError:  # no such bucket: no rules
            return None
        return None if kept is None else cors.rule_for(cors.loaded(kept), origin, method, self._headers(request))

    def _headers(self, request: Request) -> list[str]:
        return cors.asked_headers(request.headers.get("access-control-request-headers"))
