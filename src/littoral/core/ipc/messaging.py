"""Publish and subscribe: among the components and devices of the core, and with the place above.

A local message is on the core's broker, where devices and functions hear it too. JSON travels as ``application/json``
and is heard as a JSON message; everything else is heard as a binary one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid
from littoral.core.ipc.ports import Cloud, Components
from littoral.core.ports import Broker
from littoral.core.spool import MESSAGE_ID, Extras
from littoral.protocols.mqtt.packets import Publish
from littoral.protocols.mqtt.properties import MAX_USER_PROPERTIES, PublishProperties
from littoral.protocols.mqtt.topics import BadTopic, check_filter, check_name, has_wildcard
from littoral.store.contract import StoreError

PUBSUB, PROXY = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"
JSON = "application/json"
ALL, OTHERS = "RECEIVE_ALL_MESSAGES", "RECEIVE_MESSAGES_FROM_OTHERS"
FORMATS = {"0": 0, "1": 1}  # bytes, UTF-8 text


class Messaging:
    """The operations by name."""

    def __init__(self, components: Components, broker: Broker, cloud: Cloud) -> None:
        self._components = components
        self._broker = broker
        self._cloud = cloud

    def operations(self) -> Mapping[str, Handler]:
        return {
            "PublishToTopic": self.publish_to_topic,
            "SubscribeToTopic": self.subscribe_to_topic,
            "PublishToIoTCore": self.publish_to_iot_core,
            "SubscribeToIoTCore": self.subscribe_to_iot_core,
            "SubscribeToIoTCoreConnectionStatus": self.subscribe_to_iot_core_connection_status,
        }

    # ------------------------------------------------------------------------------------------------ local

    async def publish_to_topic(self, call: Call) -> Document:
        topic = self._topic(call, "topic", PUBSUB, check_name)
        message = call.document.get("publishMessage")
        if not isinstance(message, dict) or len(message) != 1:
            raise invalid("publishMessage must have jsonMessage or binaryMessage")
        ((kind, content),) = message.items()
        if not isinstance(content, dict) or kind not in ("jsonMessage", "binaryMessage"):
            raise invalid("publishMessage must have jsonMessage or binaryMessage")
        if kind == "jsonMessage":
            await self._broker.say(topic, json.dumps(content.get("message")).encode(), JSON, call.component)
        else:
            await self._broker.say(topic, call.blob("message", content), None, call.component)
        return {}

    def subscribe_to_topic(self, call: Call) -> Document:
        topic = self._topic(call, "topic", PUBSUB, check_filter)
        others = _receive_mode(call, topic) == OTHERS

        def heard(topic: str, payload: bytes, content_type: str | None, component: str) -> None:
            if others and component == call.component:
                return
            context = {"topic": topic}
            if content_type == JSON:
                try:
                    event: Any = {"jsonMessage": {"message": json.loads(payload), "context": context}}
                except ValueError:  # whoever said so was wrong
                    event = _binary(payload, context)
            else:
                event = _binary(payload, context)
            call.send("SubscriptionResponseMessage", event)

        call.ended.append(self._broker.listen(topic, heard).close)
        return {"topicName": topic}

    # ------------------------------------------------------------------------------------------------ above

    async def publish_to_iot_core(self, call: Call) -> Document:
        topic = self._topic(call, "topicName", PROXY, check_name)
        qos = _qos(call)
        try:
            await self._cloud.put(topic, call.blob("payload"), qos, _extras(call))
        except StoreError as problem:
            raise Fault("ServiceError", f"the message cannot be kept: {problem}") from problem
        return {}

    def subscribe_to_iot_core(self, call: Call) -> Document:
        topic = self._topic(call, "topicName", PROXY, check_filter)
        _qos(call)

        def heard(message: Publish) -> None:
            call.send("IoTCoreMessage", {"message": _shown(message)})

        call.ended.append(self._cloud.hear(topic, heard).close)
        return {}

    def subscribe_to_iot_core_connection_status(self, call: Call) -> Document:
        """Needs no policy. It says what is, then each change."""

        def told(connected: bool) -> None:
            status = {"status": "CONNECTED" if connected else "DISCONNECTED"}
            call.send("IoTCoreConnectionStatusEvent", {"connectionStatusEvent": status})

        call.ended.append(self._cloud.follow(told).close)
        return {}

    def _topic(self, call: Call, member: str, service: str, check: Callable[[str], None]) -> str:
        """Raises Fault: no topic, or not allowed."""
        topic = call.text(member)
        try:
            check(topic)
        except BadTopic as problem:
            raise invalid(f"{member}: {problem}") from problem
        authorise(self._components, call, service, topic, topic=True)
        return topic


def _receive_mode(call: Call, filter: str) -> str:
    """AWS's nucleus does not give a component its own messages back where it subscribes with a wildcard and does not
    say what it wants. Raises Fault."""
    mode = call.optional_text("receiveMode") or (OTHERS if has_wildcard(filter) else ALL)
    if mode not in (OTHERS, ALL):
        raise invalid(f"receiveMode must be {ALL} or {OTHERS}")
    return mode


def _qos(call: Call) -> int:
    qos = str(call.document.get("qos", "0"))
    if qos not in ("0", "1"):
        raise invalid("qos must be 0 or 1")
    return int(qos)


def _extras(call: Call) -> Extras:
    """What PublishToIoTCore may say beside topic and payload. Raises Fault."""
    document = call.document
    form = document.get("payloadFormat")
    expiry = document.get("messageExpiryIntervalSeconds")
    retain = document.get("retain")
    if retain is not None and not isinstance(retain, bool):
        raise invalid("retain must be true or false")
    if form is not None and (not isinstance(form, str) or form not in FORMATS):
        raise invalid("payloadFormat must be 0 (bytes) or 1 (UTF-8)")
    if expiry is not None and (isinstance(expiry, bool) or not isinstance(expiry, int) or not 0 < expiry < 2**32):
        raise invalid("messageExpiryIntervalSeconds must be a whole number of seconds")
    properties = PublishProperties(
        None if form is None else FORMATS[form],
        expiry,
        _text(document, "contentType"),
        _text(document, "responseTopic"),
        call.blob("correlationData") if document.get("correlationData") else None,
        _user_properties(document.get("userProperties")),
    )
    return Extras(bool(retain), properties if properties != PublishProperties() else None)


def _text(document: Document, member: str) -> str | None:
    found = document.get(member)
    if found is not None and (not isinstance(found, str) or not 0 < len(found.encode()) <= 65535 or "\0" in found):
        raise invalid(f"{member} must be a text")
    return found


def _user_properties(found: Any) -> list[tuple[str, str]]:
    if not found:
        return []
    if not isinstance(found, list) or len(found) > MAX_USER_PROPERTIES - 1:
        raise invalid(f"userProperties must be a list of at most {MAX_USER_PROPERTIES - 1}")
    pairs = []
    for each in found:
        if not isinstance(each, dict):
            raise invalid("a user property must have key and value")
        key, value = _text(each, "key"), _text(each, "value")
        if key is None or value is None or key == MESSAGE_ID:
            raise invalid("a user property must have key and value")
        pairs.append((key, value))
    return pairs


def _shown(message: Publish) -> Document:
    """A message from above, with what MQTT 5 says beside it."""
    said = message.properties or PublishProperties()
    more = {
        "userProperties": [{"key": key, "value": value} for key, value in said.user_properties] or None,
        "messageExpiryIntervalSeconds": said.message_expiry,
        "correlationData": None if said.correlation_data is None else base64.b64encode(said.correlation_data).decode(),
        "responseTopic": said.response_topic,
        "payloadFormat": None if said.payload_format is None else str(said.payload_format),
        "contentType": said.content_type,
    }
    return {
        "topicName": message.topic,
        "payload": base64.b64encode(message.payload).decode(),
        "retain": message.retain,
        **{name: value for name, value in more.items() if value is not None},
    }


def _binary(payload: bytes, context: Mapping[str, str]) -> Document:
    return {"binaryMessage": {"message": base64.b64encode(payload).decode(), "context": context}}
