"""Topic names and filters (5.0 s. 4.7): what is well-formed, and which name a filter matches."""

from __future__ import annotations


class BadTopic(ValueError):
    """A topic name or filter that the specification, or our bound, forbids."""


def check_name(topic: str, *, max_bytes: int = 65535, max_slashes: int = 65535) -> None:
    """Raises BadTopic."""
    _check_size(topic, max_bytes, max_slashes)
    if "+" in topic or "#" in topic:
        raise BadTopic("a wildcard in a topic name")


def check_filter(text: str, *, max_bytes: int = 65535, max_slashes: int = 65535) -> None:
    """``text`` is without ``$share/group/``. Raises BadTopic."""
    _check_size(text, max_bytes, max_slashes)
    levels = text.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise BadTopic("# is allowed alone and last only")
        if "+" in level and level != "+":
            raise BadTopic("+ must fill its level")


def _check_size(text: str, max_bytes: int, max_slashes: int) -> None:
    if not text:
        raise BadTopic("an empty topic")
    if "\0" in text:
        raise BadTopic("U+0000 in a topic")
    if len(text.encode()) > max_bytes:
        raise BadTopic(f"a topic of more than {max_bytes} bytes")
    if text.count("/") > max_slashes:
        raise BadTopic(f"a topic of more than {max_slashes} slashes")


def split_shared(text: str) -> tuple[str | None, str]:
    """``$share/group/filter`` as (group, filter); any other filter as (None, filter). Raises BadTopic (s. 4.8.2)."""
    if not text.startswith("$share/"):
        return None, text
    group, slash, rest = text[7:].partition("/")
    if not group or not slash or not rest or "+" in group or "#" in group:
        raise BadTopic("a shared subscription is $share/group/filter")
    return group, rest


def has_wildcard(text: str) -> bool:
    return "+" in text or "#" in text


def matches(text: str, topic: str) -> bool:
    """Whether the filter matches the name. A wildcard never matches a first level that begins with $ (s. 4.7.2)."""
    if topic.startswith("$") and text[:1] in ("+", "#"):
        return False
    wanted, levels = text.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True  # also the parent: "a/#" matches "a"
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
