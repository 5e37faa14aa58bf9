"""Calls of the core to the AWS APIs of the place above: signed with its temporary credentials, at the device port (or
at AWS's own addresses, ``Upstream.api``).

One path through a firewall is enough: the device port serves whatever is signed. Told apart: no answer that counts
(``Unreachable``: try again later) and an error of the service (``Declined``, with its code).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from littoral.aws.sign import sign
from littoral.core.answers import error_of, message_of
from littoral.core.dialing import Endpoint
from littoral.core.exchange import NotExchanged, TokenExchange
from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

MOST_ANSWER = 32 * 1024 * 1024
JSON: Final = {  # service → its X-Amz-Target's prefix and JSON version
    "kinesis": ("Kinesis_20131202", "1.1"),
    "logs": ("Logs_20140328", "1.1"),
    "secretsmanager": ("secretsmanager", "1.1"),
}


class Unreachable(Exception):
    """No answer, one of trouble above, or no credentials to ask with."""


class Declined(Exception):
    """The service's error. ``code`` is its name: ResourceNotFoundException …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Upward:
    def __init__(self, client: HttpClient, upstream: Upstream, exchange: TokenExchange, region: str) -> None:
        self._client = client
        self._upstream = upstream
        self._exchange = exchange
        self._region = region

    async def call(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """An operation of a JSON service; blobs are base64 already. Raises Unreachable, Declined."""
        target, version = JSON[service]
        body = json.dumps(members, separators=(",", ":")).encode()
        headers = Headers.of(
            [("content-type", f"application/x-amz-json-{version}"), ("x-amz-target", f"{target}.{operation}")]
        )
        _, said = await self._ask(service, "POST", "/", headers, body, body)
        try:
            answer: dict[str, Any] = json.loads(said or b"{}")
        except ValueError as problem:
            raise Unreachable(f"the answer to {operation} is not JSON") from problem
        return answer

    async def put(self, path: str, headers: Headers, body: AsyncIterator[bytes] | bytes) -> None:
        """PutObject at ``/BUCKET/KEY``, quoted; a body that comes bit by bit has its Content-Length in ``headers``.
        Raises Unreachable, Declined."""
        await self._ask("s3", "PUT", path, headers, body, body if isinstance(body, bytes) else None)

    async def object(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        """Any request of S3, at ``/BUCKET/KEY?QUERY``, quoted. Raises Unreachable, Declined."""
        return await self._ask("s3", method, path, headers, body, body)

    async def publish(self, topic: str, payload: bytes) -> None:
        """A message to the place above in the core's own name, by its certificate. Raises Unreachable, Declined."""
        path = f"/topics/{quote(topic, safe='')}?qos=1"
        await self._answer("POST", self._upstream.by_certificate, path, Headers(), payload)

    async def signed(self, service: str, method: str, path: str, headers: Headers, payload: bytes | None) -> Endpoint:
        """Where to ask, with ``headers`` signed for it; ``payload`` None: it is not part of what is signed. Raises
        Unreachable."""
        try:
            held = await self._exchange.credentials()
        except NotExchanged as problem:
            raise Unreachable(str(problem)) from problem
        endpoint = self._upstream.api(service)
        sign(
            method,
            endpoint.url + path,
            headers,
            access_key=held.access_key,
            secret=held.secret,
            token=held.token,
            service=service,
            region=self._region,
            now=time.time(),
            payload=payload,
        )
        return endpoint

    async def _ask(
        self,
        service: str,
        method: str,
        path: str,
        headers: Headers,
        body: AsyncIterator[bytes] | bytes,
        payload: bytes | None,
    ) -> tuple[Headers, bytes]:
        """Signed. Raises Unreachable, Declined."""
        endpoint = await self.signed(service, method, path, headers, payload)
        return await self._answer(method, endpoint, path, headers, body)

    async def _answer(
        self, method: str, endpoint: Endpoint, path: str, headers: Headers, body: AsyncIterator[bytes] | bytes
    ) -> tuple[Headers, bytes]:
        """Raises Unreachable, Declined."""
        tls = self._upstream.tls
        try:
            response = await self._client.request(
                method, endpoint.url + path, headers=headers, body=body, tls=tls, server_name=endpoint.server_name
            )
            async with response:
                said = await response.body.read(MOST_ANSWER)
        except (RequestFailed, BodyError, OSError) as problem:
            raise Unreachable(str(problem) or type(problem).__name__) from problem
        if response.status in (200, 204):
            return response.headers, said
        if response.status >= 500 or response.status in (408, 429):
            raise Unreachable(message_of(said, response.status))
        if response.status in (401, 403):
            self._exchange.forget()
        raise declined(said, response.status)


def declined(said: bytes, status: int) -> Declined:
    """What a service's error says."""
    code, message = error_of(said)
    return Declined(code or str(status), message)
