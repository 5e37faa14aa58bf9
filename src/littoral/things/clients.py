"""``/_littoral/things/clients``: who is connected, for those who may call this place's APIs.

    GET /_littoral/things/clients?after=bed3&limit=100      signed (SigV4); in order of client ids, both optional

answers ``{"clients": [{"clientId", "protocol", "principal", "authorizer", "address", "listener", "cleanSession",
"keepAlive", "subscriptions"}], "more": true}``.
"""

from __future__ import annotations

from typing import Any, Final

from littoral.aws.signedonly import Authenticate, signed_only
from littoral.net.message import Handler, Request, Response, json_response
from littoral.protocols.sigv4 import split_query
from littoral.things.access import Client
from littoral.things.broker import Broker

PATH: Final = "/_littoral/things/clients"
MOST: Final = 1000


def clients_handler(broker: Broker, authenticate: Authenticate) -> Handler:
    async def answer(request: Request) -> Response:
        if request.raw_path != PATH or request.method != "GET":
            return json_response(404, {"code": "NotFound", "message": f"Only GET {PATH} is here."})
        asked = dict(split_query(request.query_string))
        limit = asked.get("limit", str(MOST))
        if asked.keys() - {"after", "limit"} or not limit.isascii() or not limit.isdigit() or not int(limit[:9]):
            return json_response(
                400, {"code": "InvalidRequest", "message": "after and limit, a number, may be asked for"}
            )
        return json_response(200, _page(broker, asked.get("after", ""), min(int(limit[:9]), MOST)))

    return signed_only(authenticate, answer)


def _page(broker: Broker, after: str, limit: int) -> dict[str, Any]:
    found = sorted((one for one in broker.clients() if one.client_id > after), key=lambda one: one.client_id)
    return {"clients": [_shown(broker, one) for one in found[:limit]], "more": len(found) > limit}


def _shown(broker: Broker, client: Client) -> dict[str, Any]:
    session = broker.sessions.get(client.client_id)
    return {
        "clientId": client.client_id,
        "protocol": "MQTT 5" if client.level == 5 else "MQTT 3.1.1",
        "principal": client.principal,
        "authorizer": client.admission.authorizer if client.admission is not None else None,
        "address": f"{client.host}:{client.port}",
        "listener": client.listener,
        "cleanSession": client.clean,
        "keepAlive": client.keep_alive,
        "subscriptions": len(session.grants) if session is not None else 0,
    }
