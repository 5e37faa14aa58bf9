"""Device shadows: kept durably, spoken over MQTT, HTTPS and in process."""

from littoral.things.shadows.service import Shadows
from littoral.things.shadows.topics import ShadowRequest, parse_topic, prefix

__all__ = ["ShadowRequest", "Shadows", "parse_topic", "prefix"]
