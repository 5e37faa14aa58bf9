"""The answers to the broker's questions, from the policies of the client's certificate."""

from __future__ import annotations

from collections.abc import Callable

from littoral.protocols.mqtt.reasons import Reason
from littoral.things.access import Client, Refusal
from littoral.things.permissions import Caller, Permissions


class Gatekeeper:
    """An ``Access``: no certificate, no entry. AWS reserves what begins with ``$aws/rules/`` for publishing.

    ``on_stranger`` is told of who comes with a certificate that is not registered, or not active.
    """

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self.on_stranger: Callable[[Client], None] = lambda who: None

    def connect(self, who: Client) -> Refusal | None:
        if not who.principal:
            return Refusal(Reason.NOT_AUTHORIZED, "a client certificate is needed")
        if not self._permissions.active(who.principal):
            self.on_stranger(who)
            return Refusal(Reason.NOT_AUTHORIZED, "the certificate is not registered here, or is not active")
        if not self._permissions.allows_connect(_caller(who), connect_attributes(who)):
            return Refusal(Reason.NOT_AUTHORIZED, "no policy allows iot:Connect with this client id")
        return None

    def publish(self, who: Client, topic: str, retain: bool) -> bool:
        caller = _caller(who)
        return self._permissions.allows(caller, "iot:Publish", "topic", topic) and (
            not retain or self._permissions.allows(caller, "iot:RetainPublish", "topic", topic)
        )

    def subscribe(self, who: Client, filter: str) -> bool:
        if filter.startswith("$aws/rules/"):
            return False
        return self._permissions.allows(_caller(who), "iot:Subscribe", "topicfilter", filter)

    def receive(self, who: Client, topic: str) -> bool:
        return self._permissions.allows(_caller(who), "iot:Receive", "topic", topic)


def connect_attributes(who: Client) -> tuple[str, ...]:
    """What AWS calls ConnectAttributes: the features that a client's CONNECT asks for."""
    persistent = () if who.clean else ("PersistentConnect",)
    return (*persistent, "LastWill") if who.will_topic is not None else persistent


def _caller(who: Client) -> Caller:
    return Caller(who.principal, who.client_id, who.host)
