"""Ways in for who has no certificate and no access key: a function of the account decides (custom authorizers).

Owns: the WebSocket at ``/mqtt``, which takes signatures as well, and HTTPS publish on the device port.
https://docs.aws.amazon.com/iot/latest/developerguide/custom-auth.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

from littoral.aws.gateway import Gateway
from littoral.aws.service import ServiceError
from littoral.net.message import Answer, Handler, Headers, Request, Response, WebSocketUpgrade
from littoral.protocols.customauth import NAME
from littoral.things.access import OpenAccess
from littoral.things.authorizers import NotAdmitted
from littoral.things.authorizers.authorizers import BAD_SIGNATURE, BUSY
from littoral.things.authorizers.visitors import http_of
from littoral.things.broker import Profile
from littoral.things.facade import Things

MQTT_SCOPES = frozenset(("iotdevicegateway", "iotdata"))  # what AWS's SDKs sign a WebSocket for
WEBSOCKET = "/mqtt"
_PUBLISH = "/topics/"


def websocket_mqtt(gateway: Gateway, things: Things, profile: Profile) -> Callable[[Request], Awaitable[Answer]]:
    """MQTT over WebSocket, as AWS has it: signed with SigV4 in the query or the headers, or for an authorizer, whose
    function is asked when CONNECT is here: that may hold the credentials, too. What is wrong whatever CONNECT says is
    refused now: 403 for an authorizer that is not there, 401 for a token that it has not signed."""
    signed = things.broker.protocol_factory("mqtt-wss", OpenAccess(), profile)
    asked = things.broker.protocol_factory("mqtt-wss-asked", None, profile)

    async def handle(request: Request) -> Answer:
        http = http_of(request)
        if request.peer.certificate is not None:
            return WebSocketUpgrade(partial(asked, http), "mqtt")
        if http.value(NAME) is not None:
            try:
                things.visitors.check_upgrade(request)
            except NotAdmitted as problem:
                return _refused(401 if problem.why == BAD_SIGNATURE else 403)
            return WebSocketUpgrade(partial(asked, http), "mqtt")
        try:
            principal = await gateway.authenticate(request, scopes=MQTT_SCOPES)
        except ServiceError as error:
            return Response(403, Headers.of([("content-type", "text/plain")]), f"{error.message}\n".encode())
        if principal.kind != "anonymous" or not gateway.verifies:
            return WebSocketUpgrade(signed, "mqtt")
        if not things.authorizers.any_active:
            return Response(403, Headers.of([("content-type", "text/plain")]), b"the request is not signed\n")
        return WebSocketUpgrade(partial(asked, http), "mqtt")

    return handle


def without_certificate(gateway: Gateway, things: Things, websocket: Callable[[Request], Awaitable[Answer]]) -> Handler:
    """For the device port. Over HTTPS an authorizer's clients may publish, and nothing else."""

    async def handle(request: Request) -> Answer:
        if request.raw_path == WEBSOCKET:
            return await websocket(request)
        if request.method != "POST" or not request.raw_path.startswith(_PUBLISH):
            return Response(401, Headers.of([("content-type", "text/plain")]), b"a client certificate is required\n")
        try:
            principal = await things.visitors.identify(request)
        except NotAdmitted as problem:
            return _refused(429 if problem.why == BUSY else 403)
        return await gateway.answer_visitor(request, principal)

    return handle


def _refused(status: int) -> Response:
    """In AWS's form; the reason is the operator's business, and in the log."""
    messages = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests"}
    body = {"message": messages[status], "traceId": str(uuid.uuid4())}
    return Response(status, Headers.of([("content-type", "application/json")]), json.dumps(body).encode())
