"""The topic filter of a rule's FROM.

AWS's broker differs from MQTT in one point, which this follows: ``sensor/#`` does not match its parent ``sensor``.
"""

from __future__ import annotations

from typing import Final

MAX_LENGTH: Final = 256
MAX_SLASHES: Final = 7


def fault_in(topic_filter: str) -> str | None:
    """What is wrong with a filter, or None."""
    if not topic_filter:
        return "it is empty"
    if len(topic_filter.encode("utf-8", "surrogatepass")) > MAX_LENGTH or "\0" in topic_filter:
        return f"it is longer than {MAX_LENGTH} bytes or holds a null character"
    levels = topic_filter.split("/")
    if len(levels) > MAX_SLASHES + 1 and not topic_filter.startswith("$"):
        return f"it has more than {MAX_SLASHES} slashes"
    for position, level in enumerate(levels):
        if level != "+" and "+" in level:
            return "'+' must be a whole level"
        if "#" in level and (level != "#" or position != len(levels) - 1):
            return "'#' must be the whole last level"
    return None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on ``topic`` passes the filter. A wildcard never matches a reserved (``$``) first level."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return len(levels) > position
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)
