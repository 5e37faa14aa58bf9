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
from littoral.protocols.mqtt.topics import BadTopic, check_filter, check_name
from littoral.store.contract import StoreError

PUBSUB, PROXY = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"
JSON = "application/json"
# Of a message to the place above: the link carries topic and payload.
NOT_CARRIED = (
    *("retain", "userProperties", "messageExpiryIntervalSeconds", "correlationData", "responseTopic"),
    *("payloadFormat", "contentType"),
)


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
            await self._broker.say(topic, json.dumps(content.get("message")).encode(), JSON)
        else:
            await self._broker.say(topic, call.blob("message", content), None)
        return {}

    def subscribe_to_topic(self, call: Call) -> Document:
        topic = self._topic(call, "topic", PUBSUB, check_filter)
        if call.document.get("receiveMode") == "RECEIVE_MESSAGES_FROM_OTHERS":
            raise invalid("receiveMode: this core does not tell a component's own messages from others'")

        def heard(topic: str, payload: bytes, content_type: str | None) -> None:
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
        _check_qos(call)
        for name in NOT_CARRIED:
            if call.document.get(name):
                raise invalid(f"{name} is not carried to the place above by this core")
        try:
            await self._cloud.put(topic, call.blob("payload"))
        except StoreError as problem:
            raise Fault("ServiceError", f"the message cannot be kept: {problem}") from problem
        return {}

    def subscribe_to_iot_core(self, call: Call) -> Document:
        topic = self._topic(call, "topicName", PROXY, check_filter)
        _check_qos(call)

        def deliver(topic: str, payload: bytes, _qos: int) -> None:
            message = {"topicName": topic, "payload": base64.b64encode(payload).decode()}
            call.send("IoTCoreMessage", {"message": message})

        call.ended.append(self._cloud.subscribe(topic, deliver).close)
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


def _check_qos(call: Call) -> None:
    if str(call.document.get("qos", "0")) not in ("0", "1"):
        raise invalid("qos must be 0 or 1")


def _binary(payload: bytes, context: Mapping[str, str]) -> Document:
    return {"binaryMessage": {"message": base64.b64encode(payload).decode(), "context": context}}
