"""A publication: one message on its way through the broker, with who sent it and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from littoral.protocols.mqtt.properties import PublishProperties

__all__ = ["Publication", "PublishProperties", "enriched"]


def enriched(properties: PublishProperties | None, added: Sequence[tuple[str, str]]) -> PublishProperties:
    """With more user properties behind those that the publisher gave."""
    before = properties if properties is not None else PublishProperties()
    return replace(before, user_properties=[*before.user_properties, *added])


@dataclass(slots=True)
class Publication:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    client_id: str = ""  # "" for what the place itself publishes
    principal: str = ""  # id of the sender's certificate (hex), or ""
    received_at: float = 0.0  # Unix seconds; 0 is set by the broker
    properties: PublishProperties | None = None
