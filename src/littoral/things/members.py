"""What members of ``iot-data``'s inputs mean. What is wrong with one is InvalidRequestException."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from littoral.aws.service import modelled

MAX_PAYLOAD: Final = 128 * 1024
MAX_TOPIC: Final = 256
MAX_SLASHES: Final = 7


invalid = modelled("InvalidRequestException")


def check_topic(topic: str) -> None:
    if not topic or len(topic.encode("utf-8", "surrogatepass")) > MAX_TOPIC:
        raise invalid(f"A topic has 1 to {MAX_TOPIC} bytes")
    if any(character in topic for character in "+#\0"):
        raise invalid("A topic to publish on holds no wildcard and no null character")
    if not topic.startswith("$") and topic.count("/") > MAX_SLASHES:
        raise invalid(f"A topic has at most {MAX_SLASHES} slashes")


def after(token: str | None) -> str:
    try:
        return base64.b64decode(token or "", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("Invalid nextToken") from None


def token(last: str) -> str:
    return base64.b64encode(last.encode()).decode()


def payload_format(indicator: str | None) -> int | None:
    if indicator not in (None, "UNSPECIFIED_BYTES", "UTF8_DATA"):
        raise invalid(f"payloadFormatIndicator {indicator!r} does not exist")
    return 1 if indicator == "UTF8_DATA" else None


def expiry(seconds: int | None) -> int | None:
    if seconds is not None and not 0 <= seconds <= 0xFFFFFFFF:
        raise invalid("messageExpiry must be a number of seconds that MQTT can hold")
    return seconds


def correlation(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("correlationData must be base64") from None


def user_properties(given: Any) -> list[tuple[str, str]]:
    """A JSON array of objects with one member each; the header may bring it as text once more."""
    if given is None:
        return []
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        raise invalid("userProperties must be JSON") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise invalid("userProperties must be an array of objects")
    pairs = [pair for entry in found for pair in entry.items()]
    if not all(isinstance(value, str) for _, value in pairs):
        raise invalid("The values of userProperties must be strings")
    return pairs
