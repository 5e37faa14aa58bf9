"""What an error of a service of the place above says, in JSON or in XML. Pure."""

from __future__ import annotations

import json
from typing import Final

READ: Final = 2000  # bytes, at most
SHOWN: Final = 200  # characters of what is neither


def error_of(said: bytes) -> tuple[str, str]:
    """Its code, "" where the body names none, and its message for people: what is neither JSON nor XML, as it is."""
    text = said[:READ].decode(errors="replace")
    try:
        found = json.loads(text)
        code = str(found.get("__type", "")).rpartition("#")[2]
        return code, str(found.get("message") or found.get("Message") or "")
    except (ValueError, AttributeError):
        return between(text, "Code"), between(text, "Message") or text[:SHOWN]


def message_of(said: bytes, status: int) -> str:
    """One line for people."""
    return f"the place above answered {status}: {' '.join(error_of(said)[1].split())}".rstrip(": ")


def between(text: str, tag: str) -> str:
    """What the first element of that name in an XML text holds, as it is written."""
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
