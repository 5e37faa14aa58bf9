"""Life cycle events, as AWS's page of that name has them: ``$aws/events/presence/connected|disconnected/{clientId}``
and ``$aws/events/subscriptions/subscribed|unsubscribed/{clientId}``.

Events are ordinary QoS 1 messages: rules and durable subscribers get them. They say what the broker saw, when it saw
it; a place that is killed tells nobody. Who has left is remembered for half an hour, as GetConnection shows it.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.mqtt.reasons import Reason
from littoral.things.access import Client
from littoral.things.broker import Broker
from littoral.things.message import Publication

log = logging.getLogger(__name__)

REMEMBERED: Final = 100_000  # client ids whose version numbers are kept
REMEMBERED_SECONDS: Final = 30 * 60.0  # that it is known who has left, and why
REASONS: Final = {
    Reason.SUCCESS: "CLIENT_INITIATED_DISCONNECT",
    Reason.SESSION_TAKEN_OVER: "DUPLICATE_CLIENTID",
    Reason.KEEP_ALIVE_TIMEOUT: "MQTT_KEEP_ALIVE_TIMEOUT",
    Reason.NOT_AUTHORIZED: "AUTH_ERROR",
    Reason.ADMINISTRATIVE_ACTION: "API_INITIATED_DISCONNECT",
    Reason.SERVER_SHUTTING_DOWN: "SERVER_INITIATED_DISCONNECT",
    Reason.MAXIMUM_CONNECT_TIME: "SERVER_INITIATED_DISCONNECT",
    Reason.UNSPECIFIED_ERROR: "SERVER_ERROR",
    Reason.QUOTA_EXCEEDED: "THROTTLED",
}  # others are the client's errors


@dataclass(frozen=True, slots=True)
class Departed:
    """A client that is away, since these Unix seconds."""

    client: Client
    since: float
    why: str


class Presence:
    def __init__(self, broker: Broker, clock: Callable[[], float]) -> None:
        self.on_event: Callable[[str, Client, dict[str, Any]], None] = lambda kind, client, about: None
        self._broker = broker
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[str, int]] = OrderedDict()  # session identifier and version number
        self._departed: OrderedDict[str, Departed] = OrderedDict()  # who left first, first

    def open(self) -> None:
        self._broker.on_connected = self._connected
        self._broker.on_disconnected = self._disconnected
        self._broker.on_subscribed = lambda client, filters: self._subscription("subscribed", client, filters)
        self._broker.on_unsubscribed = lambda client, filters: self._subscription("unsubscribed", client, filters)

    def _connected(self, client: Client) -> None:
        _, version = self._sessions.get(client.client_id, ("", -1))
        self._sessions[client.client_id] = (str(uuid.uuid4()), version + 1)
        self._sessions.move_to_end(client.client_id)
        if len(self._sessions) > REMEMBERED:
            self._sessions.popitem(last=False)
        client.since = self._clock()
        self._departed.pop(client.client_id, None)
        self._tell("connected", client, {"ipAddress": client.host})

    def departed(self, client_id: str) -> Departed | None:
        """None where it is not known to have left within half an hour."""
        found = self._departed.get(client_id)
        return found if found is not None and self._clock() - found.since < REMEMBERED_SECONDS else None

    def _disconnected(self, client: Client, reason: Reason | None) -> None:
        by_client = reason is Reason.SUCCESS
        why = "CONNECTION_LOST" if reason is None else REASONS.get(reason, "CLIENT_ERROR")
        self._remember(Departed(client, self._clock(), why))
        self._tell("disconnected", client, {"clientInitiatedDisconnect": by_client, "disconnectReason": why})

    def _remember(self, departed: Departed) -> None:
        self._departed.pop(departed.client.client_id, None)
        self._departed[departed.client.client_id] = departed
        while self._departed:
            first = next(iter(self._departed.values()))
            if len(self._departed) <= REMEMBERED and departed.since - first.since < REMEMBERED_SECONDS:
                return
            self._departed.popitem(last=False)

    def _subscription(self, kind: str, client: Client, filters: list[str]) -> None:
        self._tell(kind, client, {"topics": filters}, "subscriptions")

    def _tell(self, kind: str, client: Client, more: dict[str, Any], family: str = "presence") -> None:
        self.on_event(kind, client, more)
        topic = f"$aws/events/{family}/{kind}/{client.client_id}"
        if self._broker.closing or set(client.client_id) & set("+#"):  # AWS: such client ids have no events
            return
        if not self._broker.router.heard(topic):
            return
        session, version = self._sessions.get(client.client_id, ("", 0))
        numbered = {"versionNumber": version} if family == "presence" else {}
        event = {
            "clientId": client.client_id,
            "timestamp": int(self._clock() * 1000),
            "eventType": kind,
            "sessionIdentifier": session,
            "principalIdentifier": client.principal,
            **numbered,
            **more,
        }
        self._broker.spawn(self._publish(Publication(topic, json.dumps(event).encode(), 1)))

    async def _publish(self, event: Publication) -> None:
        try:
            await self._broker.publish(event)
        except Exception:  # an event that cannot be stored must not disturb the client it is about
            log.exception("presence event on %s lost", event.topic)
