"""Of the API ``iot-data``: what concerns one client, connected or away; and who may ask for what.

A direct message goes to one client that is connected, whatever it subscribed to: no rule, no other subscriber and no
queue gets it. Both sides are asked: the sender's policy for ``iot:SendDirectMessage`` on the client (``iot:Topic`` is a
condition key), the receiver's for ``iot:Receive`` on the topic.
"""

from __future__ import annotations

from typing import Any, Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.store.contract import StoreError
from littoral.things import members
from littoral.things.access import Admission
from littoral.things.connections import Connections
from littoral.things.message import Publication
from littoral.things.permissions import Caller, Permissions, Variables
from littoral.things.refusals import Refusals

LONGEST_WAIT: Final = 15  # seconds for a PUBACK
_NOT_SENT: Final = {
    "away": ("ResourceNotFoundException", 404, "The client is not connected"),
    "forbidden": ("ForbiddenException", 403, "The client's policies do not allow iot:Receive on the topic"),
    "busy": ("ThrottlingException", 429, "The client has not acknowledged what it was sent"),
    "too large": ("RequestEntityTooLargeException", 413, "The message is larger than the client takes"),
    "not confirmed": ("GatewayTimeoutException", 504, "The client did not acknowledge the message in time"),
}


class ConnectedData:
    def __init__(self, connections: Connections, permissions: Permissions, refusals: Refusals) -> None:
        self._connections = connections
        self._permissions = permissions
        self._refusals = refusals

    def authorise(self, call: Call, action: str, kind: str, name: str, more: Variables | None = None) -> None:
        """``more``: condition keys of this request. Raises ForbiddenException, as AWS's device gateway does."""
        if call.principal.kind == "key":
            return
        caller, known = self._caller(call), call.principal.kind in ("certificate", "authorizer")
        if known and more is None and self._permissions.allows(caller, action, kind, name):
            return
        if known and more is not None and self._permissions.allows_with(caller, action, kind, name, more):
            return
        self._refusals.note(caller, action, kind, name)
        raise ServiceError("ForbiddenException", f"Not allowed: {action}", status=403)

    def _caller(self, call: Call) -> Caller:
        principal, host = call.principal, call.request.peer.host
        if isinstance(principal.admission, Admission):
            return Caller("", None, host, principal.admission)
        return Caller(principal.name, None, host)

    # -------------------------------------------------------------------------------------------- operations

    @operation()
    async def get_connection(self, call: Call, *, client_id: str, include_socket_information: bool = False) -> Output:
        self.authorise(call, "iot:GetConnection", "client", client_id)
        found = self._connections.find(client_id)
        if found is None:
            raise _no_client(client_id)
        return {**found.shown, **found.socket} if include_socket_information else dict(found.shown)

    @operation()
    async def delete_connection(
        self, call: Call, *, client_id: str, clean_session: bool = False, prevent_will_message: bool = False
    ) -> Output:
        self.authorise(call, "iot:DeleteConnection", "client", client_id)
        try:
            there = await self._connections.dismiss(client_id, forget=clean_session, will=not prevent_will_message)
        except StoreError as problem:
            raise ServiceError("InternalFailureException", str(problem), status=500) from None
        if not there:
            raise _no_client(client_id)
        return {}

    @operation()
    async def list_subscriptions(
        self, call: Call, *, client_id: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        self.authorise(call, "iot:ListSubscriptions", "client", client_id)
        limit = 20 if max_results is None else max_results
        if not 1 <= limit <= 200:
            raise members.invalid("maxResults must be from 1 to 200")
        found = self._connections.subscriptions(client_id)
        if found is None:
            raise _no_client(client_id)
        after = members.after(next_token)
        rest = [one for one in found if one[0] > after]
        output: Output = {"subscriptions": [{"topicFilter": text, "qos": qos} for text, qos in rest[:limit]]}
        return {**output, "nextToken": members.token(rest[limit - 1][0])} if len(rest) > limit else output

    @operation()
    async def send_direct_message(
        self,
        call: Call,
        *,
        client_id: str,
        topic: str,
        content_type: str | None = None,
        response_topic: str | None = None,
        confirmation: bool = False,
        timeout: int = 5,
        payload: bytes | str | None = None,
        user_properties: Any = None,
        payload_format_indicator: str | None = None,
        correlation_data: str | None = None,
    ) -> Output:
        data = payload.encode() if isinstance(payload, str) else payload or b""
        members.check_topic(topic)
        if not 1 <= timeout <= LONGEST_WAIT:
            raise members.invalid(f"timeout must be from 1 to {LONGEST_WAIT}")
        if len(data) > members.MAX_PAYLOAD:
            message = f"The payload exceeds {members.MAX_PAYLOAD} bytes"
            raise ServiceError("RequestEntityTooLargeException", message, status=413)
        self.authorise(call, "iot:SendDirectMessage", "client", client_id, {"iot:topic": topic})
        properties = PublishProperties(
            payload_format=members.payload_format(payload_format_indicator),
            content_type=content_type,
            response_topic=response_topic,
            correlation_data=members.correlation(correlation_data),
            user_properties=members.user_properties(user_properties),
        )
        message_ = Publication(
            topic,
            data,
            principal=call.principal.name,
            received_at=call.now,
            properties=properties if properties.as_mapping() else None,
        )
        came = await self._connections.send(client_id, message_, timeout if confirmation else None)
        if came != "sent":
            code, status, message = _NOT_SENT[came]
            raise ServiceError(code, message, status=status)
        return {"message": "OK", "traceId": call.request_id}


def _no_client(client_id: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"No client {client_id} is known here", status=404)
