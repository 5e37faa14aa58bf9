"""aws.greengrass.TokenExchangeService: components call AWS as they would on a core of AWS's, with an SDK unchanged.

One loopback port has two things. ``/2016-11-01/credentialprovider/`` gives the core's temporary credentials to whoever
shows the token of a component, as AWS's does. Every signed request is passed on, as it is, to the device port of the
place above, over the core's own connection; so a component needs neither the core's certificate nor a way of its own
through the firewall. What is not signed is never passed on: it would speak as the core.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from littoral.core.exchange import NotExchanged, TokenExchange
from littoral.core.link import Upstream
from littoral.core.recipe import BadComponent
from littoral.net.client import ClientResponse, HttpClient, RequestFailed
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Headers, Request, Response, json_response

log = logging.getLogger(__name__)

NAME: Final = "aws.greengrass.TokenExchangeService"
PROVIDER: Final = "/2016-11-01/credentialprovider/"
HOST: Final = "127.0.0.1"
URI, ENDPOINT = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL"
SIGNED: Final = "AWS4-"
# Of one connection, not of the message (RFC 9110 7.6.1); the listener and the client write their own.
HOP_BY_HOP: Final = (
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade", "expect", "date"),
)


def check(configuration: Mapping[str, Any]) -> int:
    """The port, 0 for a free one. Raises BadComponent."""
    return port_of(configuration, "port", NAME)


def port_of(configuration: Mapping[str, Any], member: str, name: str) -> int:
    """AWS writes ports as texts or as numbers. Raises BadComponent."""
    text = str(configuration.get(member, 0))
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise BadComponent(f"{name}: {member} must be a port")
    return int(text)


class TokenExchangeService:
    """``environment`` is the components': while this runs it says where credentials and AWS are."""

    def __init__(
        self,
        exchange: TokenExchange,
        client: HttpClient,
        upstream: Upstream,
        known: Callable[[str], str | None],
        environment: dict[str, str],
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._upstream = upstream
        self._known = known  # the component of a token
        self._environment = environment
        self._listener: HttpListener | None = None
        self._asked: int | None = None

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        port = None if configuration is None else check(configuration)
        if port == self._asked:
            return
        await self.close()
        if port is None:
            return
        try:
            self._listener = await listen_http(self.handle, host=HOST, port=port)
        except OSError as problem:
            raise BadComponent(f"port {port} cannot be listened on: {problem}") from problem
        self._asked = port
        address = f"http://{HOST}:{self._listener.port}"
        self._environment |= {URI: address + PROVIDER}
        if not self._upstream.apart:
            self._environment[ENDPOINT] = address

    async def close(self) -> None:
        self._asked = None
        for name in (URI, ENDPOINT):
            self._environment.pop(name, None)
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.close(1.0)

    async def handle(self, request: Request) -> Response:
        authorization = request.headers.get("authorization") or ""
        if authorization.startswith(SIGNED) and not self._upstream.apart:
            return await self._passed_on(request)
        if request.raw_path != PROVIDER:
            return _said(404, f"there are only GET {PROVIDER} and signed requests here")
        if request.method != "GET":
            return _said(405, "only GET is allowed")
        if self._known(authorization) is None:
            return _said(403, "Authorization must be the token of a component of this core")
        try:
            held = await self._exchange.credentials()
        except NotExchanged as problem:
            log.warning("no credentials for components: %s", problem)
            return _said(403 if problem.refused else 503, str(problem))
        given = {"AccessKeyId": held.access_key, "SecretAccessKey": held.secret, "Token": held.token}
        return json_response(200, {**given, "Expiration": held.expiration})

    async def _passed_on(self, request: Request) -> Response:
        above = self._upstream
        try:
            answer = await self._client.request(
                request.method,
                above.url + request.target,
                headers=_without(request.headers),
                body=request.body,
                tls=above.tls,
                server_name=above.server_name,
            )
        except (RequestFailed, ValueError) as problem:
            return _said(503, f"the place above cannot be reached: {problem}")
        return Response(answer.status, _without(answer.headers), _body(answer))


async def _body(answer: ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for chunk in answer.body:
            yield chunk


def _without(headers: Headers) -> Headers:
    kept = Headers(headers.raw)
    for name in HOP_BY_HOP:
        kept.remove(name)
    return kept


def _said(status: int, message: str) -> Response:
    return json_response(status, {"message": message})
