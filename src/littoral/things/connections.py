"""Clients as the ``iot-data`` API sees them: who is connected, or was lately; a message to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from littoral.things.access import Client
from littoral.things.broker import Broker
from littoral.things.broker.outbound import Outbound
from littoral.things.broker.session import Session
from littoral.things.gatekeeper import caller_of
from littoral.things.message import Publication
from littoral.things.permissions import Permissions
from littoral.things.presence import Presence

Sent = Literal["sent", "away", "forbidden", "busy", "too large", "not confirmed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a client, in the API's names."""

    shown: Mapping[str, Any]
    socket: Mapping[str, Any]  # empty for who is away


class Connections:
    def __init__(self, broker: Broker, presence: Presence, permissions: Permissions) -> None:
        self._broker = broker
        self._presence = presence
        self._permissions = permissions

    def find(self, client_id: str) -> Seen | None:
        """None: it is not here, and was not within half an hour."""
        session, departed = self._broker.sessions.get(client_id), self._presence.departed(client_id)
        if session is not None and session.connection is not None:
            return Seen({**self._known(session.client, session), "connected": True}, _socket(session))
        if session is not None:
            away: dict[str, Any] = {"disconnectedSince": int(((session.expires_at or 0.0) - session.expiry) * 1000)}
        elif departed is None:
            return None
        if departed is not None:
            away = {"disconnectedSince": int(departed.since * 1000), "disconnectReason": departed.why}
        client = session.client if session is not None else departed.client  # type: ignore[union-attr]
        return Seen({**self._known(client, session), "connected": False, **away}, {})

    def _known(self, client: Client, session: Session | None) -> dict[str, Any]:
        thing = self._permissions.variables(caller_of(client)).get("iot:connection.thing.thingname")
        known: dict[str, Any] = {
            "clientId": client.client_id,
            "cleanSession": client.clean,
            "keepAliveDuration": client.keep_alive,
            "sessionExpiry": session.expiry if session is not None else 0,
        }
        if session is not None and session.connection is not None:
            known["connectedSince"] = int(client.since * 1000)
        return known if thing is None else {**known, "thingName": thing}

    def subscriptions(self, client_id: str) -> list[tuple[str, int]] | None:
        """Filters as the client wrote them, in order, with the QoS that was granted. None without a session."""
        session = self._broker.sessions.get(client_id)
        return None if session is None else sorted((text, grant.qos) for text, grant in session.grants.items())

    async def dismiss(self, client_id: str, *, forget: bool, will: bool) -> bool:
        """As ``Broker.dismiss``."""
        return await self._broker.dismiss(client_id, forget=forget, will=will)

    async def send(self, client_id: str, publication: Publication, patience: float | None) -> Sent:
        """To that client alone. With ``patience``, in seconds, at QoS 1, and "sent" when it has acknowledged."""
        session = self._broker.sessions.get(client_id)
        if session is None or session.connection is None:
            return "away"
        if not session.access.receive(session.client, publication.topic):
            return "forbidden"
        if session.paused if patience is None else session.full:
            return "busy"
        confirmed = asyncio.Event()
        self._broker.touch(session)
        confirm = None if patience is None else confirmed.set
        taken = session.send_direct(Outbound.of(publication), self._broker.clock(), confirm)
        self._broker.flush()
        if not taken:
            return "too large"
        if patience is not None:
            try:
                await asyncio.wait_for(confirmed.wait(), patience)
            except TimeoutError:
                return "not confirmed"
        return "sent"


def _socket(session: Session) -> dict[str, Any]:
    assert session.transport is not None
    here = session.transport.get_extra_info("sockname")
    there = {"sourceIp": session.client.host, "sourcePort": session.client.port}
    return {**there, "targetIp": here[0], "targetPort": here[1]} if isinstance(here, tuple) else there
