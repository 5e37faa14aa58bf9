"""Text to tokens, one at a time.

Owns: the lexical rules. Strings take single or double quotes and double the quote to contain it; keywords are in any
case; there are no comments (AWS: "Comments are not currently supported"). Lazy, because a substitution template ends
at a brace in the middle of text that need not be SQL at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from littoral.protocols.iotsql.syntax import SqlError

Kind = Literal["name", "variable", "keyword", "number", "string", "symbol", "end"]

KEYWORDS = frozenset(
    {"SELECT", "VALUE", "FROM", "WHERE", "AS", "AND", "OR", "NOT"}
    | {"CASE", "WHEN", "THEN", "ELSE", "END", "TRUE", "FALSE", "NULL"}
)

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![A-Za-z_])
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | @(?P<variable>[A-Za-z0-9_]+)
      | (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<symbol><>|<=|>=|[-+*/%=<>(),.\[\]{}:])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str  # a keyword in upper case; a string without its quotes
    start: int
    end: int


class Tokens:
    """A cursor: ``current`` is the token not yet taken."""

    def __init__(self, text: str, start: int = 0) -> None:
        self.text = text
        self.current = self._scan(start)

    def take(self) -> Token:
        token = self.current
        if token.kind != "end":
            self.current = self._scan(token.end)
        return token

    def put_back(self, token: Token) -> None:
        """Undo the last ``take``."""
        self.current = token

    def _scan(self, position: int) -> Token:
        match = _TOKEN.match(self.text, position)
        if match is None:
            at = position + len(self.text[position:]) - len(self.text[position:].lstrip())
            raise SqlError(f"Unexpected input {self.text[at : at + 12]!r}", at)
        kind = match.lastgroup
        assert kind is not None
        raw, start, end = match[kind], match.start(kind), match.end(kind)
        if kind == "name":
            upper = raw.upper()
            return Token("keyword", upper, start, end) if upper in KEYWORDS else Token("name", raw, start, end)
        if kind == "string":
            quote = raw[0]
            return Token("string", raw[1:-1].replace(quote * 2, quote), start, end)
        return Token(kind, raw, start, end)  # type: ignore[arg-type]
