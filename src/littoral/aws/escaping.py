"""Text within XML and HTML.

``xml.sax.saxutils`` and ``html`` do the same, and bring an HTTP client and a table of all entities with them: 1.5 MiB
of an idle core (docs/decisions/2026-11-29-drain.md).
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_VALUE: Final = str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def escape(text: str) -> str:
    """As the text of an element."""
    return text.translate(_TEXT)


def quoteattr(text: str) -> str:
    """As the value of an attribute, with its quotes: white space is as it was after a parser has read it."""
    return f'"{text.translate(_TEXT).translate(_VALUE)}"'
