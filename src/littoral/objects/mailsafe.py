"""Values of metadata, which travel in headers: as mail has them. Pure. (RFC 2047; "Working with object metadata")

Who writes may say more than ASCII by encoded words, which are decoded before they are kept; who reads gets them so,
whoever wrote what. A header's own bytes count as Latin-1, as at AWS: UTF-8 that was sent bare comes back as such.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

_PLAIN = re.compile(r"[\t\x20-\x7e]*").fullmatch
_WORD = re.compile(r"=\?(utf-8|us-ascii|iso-8859-\d+|windows-125\d)\?([bq])\?([!->@-~]*)\?=", re.IGNORECASE)
_BETWEEN = re.compile(r"(\?=)[ \t]+(?==\?)")  # two words is no space
_ESCAPED = re.compile("=([0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_KEPT = frozenset(b"!\"#$%&'()*+,-./0123456789:;<>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^`abcdefghijklmnopqrstuvwxyz{|}~")
LONGEST: Final = 63  # characters of what is encoded in one word, which has 75 with its frame


def decoded(value: str) -> str:
    """``value`` where it has no encoded words, or one that cannot be decoded."""
    if "=?" not in value:
        return value
    try:
        return _WORD.sub(_meant, _BETWEEN.sub(r"\1", value))
    except (LookupError, ValueError):
        return value


def _meant(word: re.Match[str]) -> str:
    """Raises LookupError, ValueError."""
    charset, coding, text = word.groups()
    if coding in "Bb":
        return base64.b64decode(text, validate=True).decode(charset)
    return unquote_to_bytes(_ESCAPED.sub(r"%\1", text.replace("%", "=25")).replace("_", " ")).decode(charset)


def encoded(value: str) -> str:
    """``value`` where it is ASCII and can be seen."""
    if _PLAIN(value):
        return value
    mostly_ascii = sum(map(str.isascii, value)) * 2 > len(value)
    return _by_characters(value) if mostly_ascii else _in_base64(value)


def shown(metadata: dict[str, str]) -> tuple[dict[str, str], int]:
    """As a reader is told, and of how many nothing is: what holds control characters is in no header."""
    if all(map(_PLAIN, metadata.values())):
        return metadata, 0
    told = {name: encoded(value) for name, value in metadata.items() if not _UNPRINTABLE(value)}
    return told, len(metadata) - len(told)


def headers_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """As they are sent to another place, all of them."""
    return {f"x-amz-meta-{name}": encoded(value) for name, value in metadata.items()}


def _by_characters(text: str) -> str:
    return _words("Q", text, lambda part: "".join(map(_byte, part)), LONGEST // 3)


def _byte(value: int) -> str:
    return "_" if value == 0x20 else chr(value) if value in _KEPT else f"={value:02X}"


def _in_base64(text: str) -> str:
    return _words("B", text, lambda part: base64.b64encode(part).decode(), LONGEST // 4 * 3)


def _words(coding: str, text: str, encode: Callable[[bytes], str], most: int) -> str:
    """Each of at most so many bytes, and of whole characters."""
    parts = [b""]
    for each in text:
        more = each.encode("utf-8", "replace")
        if len(parts[-1]) + len(more) > most:
            parts.append(b"")
        parts[-1] += more
    return " ".join(f"=?UTF-8?{coding}?{encode(part)}?=" for part in parts)
