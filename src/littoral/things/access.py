"""What the broker asks before it lets anything pass. The broker asks; whoever holds the policies answers.

Answers to ``publish``, ``subscribe`` and ``receive`` must depend on their arguments and the policies alone: the broker
keeps them, per connection and topic, until ``Broker.refresh()`` says that policies changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from littoral.protocols.mqtt.reasons import Reason


@dataclass(slots=True)
class Client:
    """A connected, or connecting, client."""

    client_id: str
    principal: str = ""  # certificate id: hex SHA-256 of its DER form; "" without a certificate
    certificate: bytes | None = None  # DER, already verified against the listener's authorities
    username: str | None = None
    password: bytes | None = None  # for Access.connect only; the broker forgets it afterwards
    host: str = ""
    port: int = 0
    level: int = 4  # 4: MQTT 3.1.1, 5: MQTT 5
    will_topic: str | None = None
    will_retain: bool = False
    clean: bool = True
    keep_alive: int = 0
    listener: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client may not connect; a v5 client is told both."""

    reason: Reason = Reason.NOT_AUTHORIZED
    message: str = ""


class Access(Protocol):
    """Quick and synchronous: asked in the middle of a read."""

    def connect(self, who: Client) -> Refusal | None:
        """None lets it in. The will's topic is asked for by ``publish`` as well."""

    def publish(self, who: Client, topic: str, retain: bool) -> bool: ...

    def subscribe(self, who: Client, filter: str) -> bool:
        """``filter`` is without the ``$share/group/`` in front."""

    def receive(self, who: Client, topic: str) -> bool: ...


class OpenAccess:
    """Lets everything pass: the cleartext listener on loopback."""

    def connect(self, who: Client) -> Refusal | None:
        return None

    def publish(self, who: Client, topic: str, retain: bool) -> bool:
        return True

    def subscribe(self, who: Client, filter: str) -> bool:
        return True

    def receive(self, who: Client, topic: str) -> bool:
        return True
