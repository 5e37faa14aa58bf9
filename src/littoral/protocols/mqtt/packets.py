"""The control packets of MQTT as dataclasses, the same for 3.1.1 (level 4) and 5.0 (level 5).

Level 4 has no properties and no reason codes but CONNACK's and SUBACK's; those fields then hold their defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from littoral.protocols.mqtt.properties import Properties, PublishProperties
from littoral.protocols.mqtt.reasons import Reason


@dataclass(slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    delay: int = 0  # seconds (v5)
    properties: PublishProperties | None = None


@dataclass(slots=True)
class Connect:
    client_id: str
    level: int = 5  # 4 or 5
    clean: bool = True  # "clean session" in level 4, "clean start" in level 5
    keep_alive: int = 0  # seconds; 0: none
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connack:
    reason: int = 0  # level 4: its return code 0-5
    session_present: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0  # 0 with QoS 0
    properties: PublishProperties | None = None


@dataclass(slots=True)
class Ack:
    """PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7), by ``kind``."""

    kind: int
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter:
    """One line of a SUBSCRIBE, with the options of s. 3.8.3.1."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0  # 0: send retained, 1: only for a new subscription, 2: never


@dataclass(slots=True)
class Subscribe:
    packet_id: int
    filters: list[Filter]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Suback:
    packet_id: int
    reasons: list[int]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsubscribe:
    packet_id: int
    filters: list[str]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsuback:
    packet_id: int
    reasons: list[int] = field(default_factory=list)  # none in level 4
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Pingreq:
    pass


@dataclass(slots=True)
class Pingresp:
    pass


@dataclass(slots=True)
class Disconnect:
    reason: int = Reason.SUCCESS
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Auth:
    reason: int = Reason.SUCCESS
    properties: Properties = field(default_factory=dict)


Packet = (
    Connect
    | Connack
    | Publish
    | Ack
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
