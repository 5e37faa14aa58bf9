"""A publication: one message on its way through the broker, with who sent it and when."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.protocols.mqtt.properties import PublishProperties

__all__ = ["Publication", "PublishProperties"]


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
