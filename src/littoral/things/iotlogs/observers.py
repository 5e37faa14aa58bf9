"""What is seen where, as entries: connections, messages, refusals, shadows, rules.

Messages are looked at only while somebody's level asks for them: a tap on the broker comes and goes with the options.
Sources: https://docs.aws.amazon.com/iot/latest/developerguide/cwl-format.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from littoral.protocols.iotsql import Context
from littoral.protocols.shadow import ShadowError
from littoral.things.access import Client
from littoral.things.broker import Broker, LocalSubscriber
from littoral.things.iotlogs.levels import LEVELS, Who
from littoral.things.iotlogs.writer import IotLogs
from littoral.things.message import Publication
from littoral.things.permissions import Caller
from littoral.things.shadows import ShadowRequest, prefix

_REFUSED: Final = {
    "iot:Connect": "Connect",
    "iot:Publish": "Publish-In",
    "iot:RetainPublish": "Publish-In",
    "iot:Subscribe": "Subscribe",
    "iot:Receive": "Publish-Out",
}
_SHADOWS: Final = {"get": "GetThingShadow", "update": "UpdateThingShadow", "delete": "DeleteThingShadow"}


class Observers:
    """``note_…`` are to be given to those who see."""

    def __init__(self, logs: IotLogs, broker: Broker) -> None:
        self._logs = logs
        self._broker = broker
        self._tap: LocalSubscriber | None = None
        logs.levels.on_change = self._follow

    def _follow(self) -> None:
        wanted = self._logs.levels.most >= LEVELS.index("INFO")
        if wanted and self._tap is None:
            self._tap = self._broker.tap("#", self.note_message)
        elif not wanted and self._tap is not None:
            self._tap.close()
            self._tap = None

    # ---------------------------------------------------------------------------------------- connections

    def note_presence(self, kind: str, client: Client, about: dict[str, Any]) -> None:
        """``kind`` is "connected", "disconnected", "subscribed" or "unsubscribed"."""
        if kind == "connected":
            self._of_client("Connect", client)
        elif kind == "disconnected":
            self._of_client("Disconnect", client, disconnectReason=about["disconnectReason"])
        elif kind == "subscribed":
            for topic in about["topics"]:
                self._of_client("Subscribe", client, topicName=topic)

    def _of_client(self, event: str, client: Client, **more: Any) -> None:
        who = Who(client.client_id, client.principal, client.host)
        self._logs.note("INFO", event, who, **_attributes("MQTT", who, client.port), **more)

    def note_refusal(self, caller: Caller, action: str, name: str, why: str) -> None:
        who = Who(caller.client_id or "", caller.principal, caller.source_ip)
        event = _REFUSED.get(action, action.removeprefix("iot:"))
        protocol = "HTTP" if caller.client_id is None else "MQTT"
        topic = name if event in ("Publish-In", "Publish-Out", "Subscribe") else None
        about: dict[str, Any] = {
            "topicName": topic,
            "reason": "AUTHORIZATION_FAILURE",
            "details": f"Authorization Failure: {why}",
        }
        self._logs.note("ERROR", event, who, **_attributes(protocol, who), **about)

    # ------------------------------------------------------------------------------------------- messages

    def note_message(self, message: Publication) -> None:
        """Who published what: a client, or a caller of the API. What the place itself publishes is not told."""
        if not message.client_id and not message.principal:
            return
        session = self._broker.sessions.get(message.client_id) if message.client_id else None
        host, port = ("", 0) if session is None else (session.client.host, session.client.port)
        who = Who(message.client_id, message.principal, host)
        attributes = _attributes("MQTT" if message.client_id else "HTTP", who, port)
        retain = "True" if message.retain else None
        self._logs.note("INFO", "Publish-In", who, topicName=message.topic, retain=retain, **attributes)

    def note_shadow(self, request: ShadowRequest, refused: ShadowError | None) -> None:
        about: dict[str, Any] = {
            "protocol": "MQTT",
            "deviceShadowName": request.name or request.thing,
            "topicName": f"{prefix(request.thing, request.name)}/{request.operation}",
        }
        event = _SHADOWS[request.operation]
        if refused is None:
            self._logs.note("INFO", event, Who(), **about)
        else:
            self._logs.note("ERROR", event, Who(), **about, reason=str(refused.code), details=refused.message)

    # ---------------------------------------------------------------------------------------------- rules

    def note_rule(
        self, level: str, event: str, rule: str, context: Context, about: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        who = Who(context.client_id or "", context.principal or "", context.source_ip or "")
        if not self._logs.levels.wants(level, who):
            return
        attributes = {
            "clientId": context.client_id or "N/A",
            "topicName": context.topic,
            "ruleName": rule,
            "principalId": context.principal,
            **about(),
        }
        self._logs.note(level, event, who, trace_id=context.trace_id or "", **attributes)


def _attributes(protocol: str, who: Who, port: int = 0) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "clientId": who.client_id or None,
        "principalId": who.principal or None,
        "sourceIp": who.source_ip or None,
        "sourcePort": port or None,
    }
