"""The topic filter of a rule's FROM.

AWS's broker differs from MQTT in one point, which this follows: ``sensor/#`` does not match its parent ``sensor``.
"""

from __future__ import annotations

from typing import Final

from littoral.protocols.mqtt import topics

MAX_LENGTH: Final = 256
MAX_SLASHES: Final = 7


def check(topic_filter: str) -> None:
    """Raises BadTopic. AWS does not count the slashes of its reserved topics."""
    slashes = 65535 if topic_filter.startswith("$") else MAX_SLASHES
    try:
        topics.check_filter(topic_filter, max_bytes=MAX_LENGTH, max_slashes=slashes)
    except UnicodeEncodeError:
        raise topics.BadTopic("a topic that is not valid Unicode") from None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on ``topic`` passes the filter."""
    if topic_filter.endswith("#") and topic.count("/") < topic_filter.count("/"):
        return False
    return topics.matches(topic_filter, topic)
