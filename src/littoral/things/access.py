"""What the broker asks before it lets anything pass. The broker asks; whoever holds the policies answers.

Answers to ``publish``, ``subscribe``, ``receive`` and ``additions`` must depend on their arguments, policies and
registry alone: the broker keeps them, per connection and topic, until ``Broker.refresh()`` says that these changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from littoral.protocols.customauth import Presented
from littoral.protocols.mqtt.reasons import Reason

UserProperties = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What an authorizer's function said of a client that has no certificate. Times are Unix seconds. One is what it
    is, not what it says: what is remembered of it is found by it."""

    authorizer: str
    principal: str
    policies: tuple[str, ...]  # documents
    since: float = 0.0
    ends: float = math.inf  # then the connection does
    refreshes: float = math.inf  # then the function is asked again

    @property
    def due(self) -> float:
        return min(self.ends, self.refreshes)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Admission:
        return cls(**{**found, "policies": tuple(found["policies"])})


@dataclass(slots=True)
class Client:
    """A connected, or connecting, client."""

    client_id: str
    principal: str = ""  # certificate id: hex SHA-256 of its DER form; else what its authorizer calls it, or ""
    certificate: bytes | None = None  # DER, already verified against the listener's authorities
    username: str | None = None
    password: bytes | None = None  # for Access.connect only; the broker forgets it afterwards
    host: str = ""
    port: int = 0
    level: int = 4  # 4: MQTT 3.1.1, 5: MQTT 5
    will_topic: str | None = None
    clean: bool = True
    keep_alive: int = 0
    listener: str = ""
    presented: Presented | None = None  # all that it has shown, where that is no certificate
    admission: Admission | None = None
    since: float = 0.0  # Unix seconds at which it was connected
    due: float = math.inf  # Unix seconds at which the broker tells ``on_due``

    @property
    def owner(self) -> tuple[str, str]:
        """Whose a session is: of that certificate, or of whom that authorizer calls so."""
        return self.principal, self.admission.authorizer if self.admission is not None else ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client may not connect; a v5 client is told both."""

    reason: Reason = Reason.NOT_AUTHORIZED
    message: str = ""


class Access(Protocol):
    """All but ``identify`` is quick and synchronous: asked in the middle of a read."""

    async def identify(self, who: Client) -> Refusal | None:
        """Before ``connect``, and the only one that may take its time: find out, where no certificate says it, who
        it is. None lets it go on."""

    def connect(self, who: Client) -> Refusal | None:
        """None lets it in. The will's topic is asked for by ``publish`` as well."""

    def publish(self, who: Client, topic: str, retain: bool) -> bool: ...

    def subscribe(self, who: Client, filter: str) -> bool:
        """``filter`` is without the ``$share/group/`` in front."""

    def receive(self, who: Client, topic: str) -> bool: ...

    def additions(self, who: Client) -> UserProperties:
        """What the broker adds to what it publishes."""


class OpenAccess:
    """Lets everything pass: the cleartext listener on loopback."""

    async def identify(self, who: Client) -> Refusal | None:
        return None

    def connect(self, who: Client) -> Refusal | None:
        return None

    def publish(self, who: Client, topic: str, retain: bool) -> bool:
        return True

    def subscribe(self, who: Client, filter: str) -> bool:
        return True

    def receive(self, who: Client, topic: str) -> bool:
        return True

    def additions(self, who: Client) -> UserProperties:
        return ()
