"""What one broker, and one client, may cost; and how AWS IoT Core differs from plain MQTT: one table of two rows.

Sizes are bytes, times seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ProfileName = Literal["mqtt", "aws"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Rules that depend on whom a listener imitates. AWS: "AWS IoT Core message broker and protocol limits"."""

    name: ProfileName
    maximum_qos: int  # AWS has no QoS 2
    max_payload: int
    max_topic_bytes: int
    max_slashes: int
    max_client_id_bytes: int
    max_subscriptions: int  # a client
    max_filters: int  # a SUBSCRIBE
    receive_maximum: int  # unacknowledged messages of QoS 1 and 2, each way
    session_expiry: int  # longest
    topic_aliases: int  # that a client may use, each way
    keep_alive: tuple[int, int]  # shortest, longest; (0, 0): what the client says, and 0 is none
    subscription_identifiers: bool
    wildcard_gets_retained: bool
    hash_matches_parent: bool  # AWS: "sensor/#" does not match "sensor"
    denied_publish_disconnects: bool  # also where MQTT 5 has a reason code in PUBACK


MQTT: Final = Profile(
    name="mqtt",
    maximum_qos=2,
    max_payload=1024 * 1024,
    max_topic_bytes=1000,  # a retained topic is a key of Records, at most 1024 bytes
    max_slashes=64,
    max_client_id_bytes=256,
    max_subscriptions=1000,
    max_filters=100,
    receive_maximum=1000,
    session_expiry=7 * 24 * 3600,
    topic_aliases=16,
    keep_alive=(0, 0),
    subscription_identifiers=True,
    wildcard_gets_retained=True,
    hash_matches_parent=True,
    denied_publish_disconnects=False,
)
AWS: Final = Profile(
    name="aws",
    maximum_qos=1,
    max_payload=128 * 1024,
    max_topic_bytes=256,
    max_slashes=7,
    max_client_id_bytes=128,
    max_subscriptions=50,
    max_filters=8,
    receive_maximum=100,
    session_expiry=3600,
    topic_aliases=8,
    keep_alive=(30, 1200),
    subscription_identifiers=False,
    wildcard_gets_retained=False,
    hash_matches_parent=False,
    denied_publish_disconnects=True,
)
PROFILES: Final = {"mqtt": MQTT, "aws": AWS}


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    connect_timeout: float = 10.0  # from the accepted socket to a whole CONNECT
    max_connections: int = 50_000
    max_sessions: int = 100_000  # connected or remembered
    window: int = 100  # QoS 1 messages in flight to a client that names no receive maximum (3.1.1)
    out_buffer: int = 1024 * 1024  # unsent bytes of one client; beyond, QoS 0 is dropped and QoS 1 waits
    queue_messages: int = 10_000  # QoS 1 messages that wait in memory for one client
    queue_bytes: int = 16 * 1024 * 1024
    stored_messages: int = 100_000  # QoS 1 messages that wait on disk for one durable session
    stored_bytes: int = 256 * 1024 * 1024
    retained_messages: int = 100_000
    retained_bytes: int = 64 * 1024 * 1024
    unsettled: int = 1000  # QoS 1 messages of one client that wait for the disk; beyond, its socket is not read
    local_pending: int = 1000  # awaitable callbacks of one in-process subscriber in progress
