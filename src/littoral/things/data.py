"""The API of botocore's service ``iot-data``: publish, shadows and retained messages over HTTPS.

Callers are users with access keys, who may do everything, and devices with certificates on the device port, whose
policies decide. There is no MQTT connection here, so policy variables of a connection have no value.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.mqtt.topics import BadTopic
from littoral.protocols.shadow import ShadowError
from littoral.store.contract import StorageFailed, StreamFull
from littoral.things import members
from littoral.things.broker import NotStored, RetainedFull
from littoral.things.connecteddata import ConnectedData
from littoral.things.connections import Connections
from littoral.things.message import Publication, PublishProperties
from littoral.things.permissions import Permissions
from littoral.things.refusals import Refusals
from littoral.things.reserved import UnknownReservedTopic
from littoral.things.shadows import Shadows

JSON: Final = {"content-type": "application/json"}  # the model has no body, devices get one

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retained:
    """A retained message as the API shows it. ``modified`` is in Unix seconds."""

    publication: Publication
    modified: float


class Messages(Protocol):
    """What the API needs of the broker."""

    async def publish(self, publication: Publication) -> None:
        """Returns when the message is durable wherever QoS 1 promises it."""

    async def retained(self, topic: str) -> Retained | None: ...

    async def list_retained(self, after: str, limit: int) -> Sequence[Retained]:
        """In order of topics."""


class IotData(ConnectedData):
    """What boto3's ``client("iot-data")`` talks to."""

    def __init__(
        self,
        messages: Messages,
        shadows: Shadows,
        connections: Connections,
        permissions: Permissions,
        refusals: Refusals,
    ) -> None:
        super().__init__(connections, permissions, refusals)
        self._messages = messages
        self._shadows = shadows

    # --------------------------------------------------------------------------------------------- messages

    @operation()
    async def publish(
        self,
        call: Call,
        *,
        topic: str,
        qos: int = 0,
        retain: bool = False,
        payload: bytes | str | None = None,
        user_properties: Any = None,
        payload_format_indicator: str | None = None,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation_data: str | None = None,
        message_expiry: int | None = None,
    ) -> Output:
        """With QoS 1 this returns when the message is durable where it must be: rules, sessions, taps."""
        data = payload.encode() if isinstance(payload, str) else payload or b""
        members.check_topic(topic)
        if qos not in (0, 1):
            raise members.invalid("qos must be 0 or 1")
        if len(data) > members.MAX_PAYLOAD:
            raise ServiceError(
                "InvalidRequestException", f"The payload exceeds {members.MAX_PAYLOAD} bytes", status=413
            )
        self.authorise(call, "iot:Publish", "topic", topic)
        if retain:
            self.authorise(call, "iot:RetainPublish", "topic", topic)
        properties = PublishProperties(
            payload_format=members.payload_format(payload_format_indicator),
            message_expiry=members.expiry(message_expiry),
            content_type=content_type,
            response_topic=response_topic,
            correlation_data=members.correlation(correlation_data),
            user_properties=members.user_properties(user_properties),
        )
        await _durable(
            self._messages.publish(
                Publication(
                    topic,
                    data,
                    qos,
                    retain,
                    principal=call.principal.name,
                    received_at=call.now,
                    properties=properties if properties.as_mapping() else None,
                )
            )
        )
        return {
            "ResponseMetadata": {"HTTPBody": _json({"message": "OK", "traceId": call.request_id}), "HTTPHeaders": JSON}
        }

    @operation()
    async def get_retained_message(self, call: Call, *, topic: str) -> Output:
        self.authorise(call, "iot:GetRetainedMessage", "topic", topic)
        found = await self._messages.retained(topic)
        if found is None:
            raise ServiceError("ResourceNotFoundException", f"No retained message on topic {topic}", status=404)
        message = found.publication
        output: Output = {
            "topic": message.topic,
            "payload": message.payload,
            "qos": message.qos,
            "lastModifiedTime": int(found.modified * 1000),
        }
        if message.properties is not None and message.properties.user_properties:
            pairs = [{name: value} for name, value in message.properties.user_properties]
            output["userProperties"] = json.dumps(pairs).encode()
        return output

    @operation()
    async def list_retained_messages(
        self, call: Call, *, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        self.authorise(call, "iot:ListRetainedMessages", "", "")
        limit = max_results or 200
        if not 1 <= limit <= 200:
            raise members.invalid("maxResults must be from 1 to 200")
        found = await self._messages.list_retained(members.after(next_token), limit + 1)
        output: Output = {
            "retainedTopics": [
                {
                    "topic": one.publication.topic,
                    "payloadSize": len(one.publication.payload),
                    "qos": one.publication.qos,
                    "lastModifiedTime": int(one.modified * 1000),
                }
                for one in found[:limit]
            ]
        }
        return (
            {**output, "nextToken": members.token(found[limit - 1].publication.topic)} if len(found) > limit else output
        )

    # ---------------------------------------------------------------------------------------------- shadows

    @operation()
    async def get_thing_shadow(self, call: Call, *, thing_name: str, shadow_name: str = "") -> Output:
        self.authorise(call, "iot:GetThingShadow", "thing", _resource(thing_name, shadow_name))
        return {"payload": _json(await _modelled(self._shadows.get_with(thing_name, shadow_name)))}

    @operation()
    async def update_thing_shadow(
        self, call: Call, *, thing_name: str, payload: bytes | str, shadow_name: str = ""
    ) -> Output:
        self.authorise(call, "iot:UpdateThingShadow", "thing", _resource(thing_name, shadow_name))
        data = payload.encode() if isinstance(payload, str) else payload
        return {"payload": _json(await _modelled(self._shadows.update_with(thing_name, shadow_name, data)))}

    @operation()
    async def delete_thing_shadow(self, call: Call, *, thing_name: str, shadow_name: str = "") -> Output:
        self.authorise(call, "iot:DeleteThingShadow", "thing", _resource(thing_name, shadow_name))
        return {"payload": _json(await _modelled(self._shadows.delete_with(thing_name, shadow_name)))}

    @operation()
    async def list_named_shadows_for_thing(
        self, call: Call, *, thing_name: str, next_token: str | None = None, page_size: int | None = None
    ) -> Output:
        self.authorise(call, "iot:ListNamedShadowsForThing", "thing", thing_name)
        limit = page_size or 25
        if not 1 <= limit <= 100:
            raise members.invalid("pageSize must be from 1 to 100")
        found = await self._shadows.names(thing_name, members.after(next_token), limit)
        output: Output = {"results": list(found[:limit]), "timestamp": int(call.now)}
        return {**output, "nextToken": members.token(found[limit - 1])} if len(found) > limit else output


_SHADOW_ERRORS: Final = {
    400: "InvalidRequestException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedDocumentEncodingException",
}


async def _modelled(awaitable: Awaitable[T]) -> T:
    try:
        return await _durable(awaitable)
    except ShadowError as error:
        raise ServiceError(_SHADOW_ERRORS[error.code], error.message, status=error.code) from None


async def _durable(awaitable: Awaitable[T]) -> T:
    """What could not be made durable is an error, and the caller may try again."""
    try:
        return await awaitable
    except (BadTopic, UnknownReservedTopic) as error:
        raise members.invalid(str(error)) from None
    except (StreamFull, RetainedFull) as error:
        raise ServiceError("ThrottlingException", str(error), status=429) from None
    except (StorageFailed, NotStored) as error:
        raise ServiceError("InternalFailureException", str(error), status=500) from None


def _resource(thing: str, shadow: str) -> str:
    return f"{thing}/{shadow}" if shadow else thing


def _json(document: Output) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
