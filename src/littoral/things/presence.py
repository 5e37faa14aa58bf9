"""Life cycle events, as AWS's page of that name has them: ``$aws/events/presence/connected|disconnected/{clientId}``
and ``$aws/events/subscriptions/subscribed|unsubscribed/{clientId}``.

Events are ordinary QoS 1 messages: rules and durable subscribers get them. They say what the broker saw, when it saw
it; a place that is killed tells nobody.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from littoral.things.access import Client
from littoral.things.broker import Broker
from littoral.things.message import Publication

log = logging.getLogger(__name__)

REMEMBERED: Final = 100_000  # client ids whose version numbers are kept


class Presence:
    def __init__(self, broker: Broker, clock: Callable[[], float]) -> None:
        self.on_event: Callable[[str, Client, dict[str, Any]], None] = lambda kind, client, about: None
        self._broker = broker
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[str, int]] = OrderedDict()  # session identifier and version number

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
        self._tell("connected", client, {"ipAddress": client.host})

    def _disconnected(self, client: Client, reason: str) -> None:
        by_client = reason == "client"
        why = "CLIENT_INITIATED_DISCONNECT" if by_client else "CONNECTION_LOST"
        self._tell("disconnected", client, {"clientInitiatedDisconnect": by_client, "disconnectReason": why})

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
