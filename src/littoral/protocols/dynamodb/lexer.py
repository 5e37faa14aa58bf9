"""Expressions as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from littoral.protocols.dynamodb.errors import Invalid

LONGEST = 4096  # bytes of an expression
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<ref>#[A-Za-z0-9_]+)"
    r"|(?P<slot>:[A-Za-z0-9_]+)|(?P<number>[0-9]+)|(?P<sign><>|<=|>=|[=<>(),.+\[\]-])"
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # name, ref, slot, number, sign, end
    text: str
    at: int


END = "<EOF>"


def tokens(text: str, what: str) -> list[Token]:
    """Raises Invalid. ``what`` names the parameter in messages."""
    if not text:
        raise Invalid(f"Invalid {what}: The expression can not be empty;")
    size = len(text.encode())
    if size > LONGEST:
        raise Invalid(f"Invalid {what}: Expression size has exceeded the maximum allowed size; expression size: {size}")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            near = text[at : at + 10]
            raise Invalid(f'Invalid {what}: Syntax error; token: "{text[at]}", near: "{near}"')
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], at))
        at = match.end()
    found.append(Token("end", END, at))
    return found
