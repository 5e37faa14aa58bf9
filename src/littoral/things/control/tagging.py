"""Tags as they are given: a list of pairs, or a header; what AWS takes for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from littoral.things.control.errors import invalid, limit_exceeded

MOST: Final = 50

TagList = Sequence[Mapping[str, str]]


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises LimitExceededException, InvalidRequestException."""
    if len(tags) > MOST:
        raise limit_exceeded(f"A resource has at most {MOST} tags")
    for key, value in tags.items():
        if not 0 < len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise invalid(f"Invalid tag {key[:200]!r}")
    return dict(tags)


def of_header(tagging: str | None) -> dict[str, str]:
    """``x-amz-tagging: ward=7&kind=alarm``."""
    try:
        pairs = parse_qsl(tagging or "", keep_blank_values=True, strict_parsing=bool(tagging))
    except ValueError:
        raise invalid("tags are written key=value&key=value") from None
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid("A tag is given twice")
    return checked(dict(pairs))


def of_list(tags: TagList) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tags}
