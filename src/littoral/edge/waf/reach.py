"""Which transformations of a chain can change a value at all, told from the bytes that it holds.

Most transformations need a certain byte to do anything: a percent sign, an ampersand, a capital. Most values hold few
such bytes, so of fifty chains over a value a handful are left that differ, and each of those is looked at once.
``needed`` only leaves out what does nothing to that value; tests hold every chain against itself. A transformation that
is not in the table is never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from littoral.edge.waf import transformations as t
from littoral.edge.waf.transformations import Transformation

Steps = tuple[Transformation, ...]
Bytes = frozenset[int]
ALL: Bytes = frozenset(range(256))
_CAPITALS, _SMALL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"), frozenset(b"abcdefghijklmnopqrstuvwxyz")
_SPACES = frozenset(t.SPACES)


@dataclass(frozen=True, slots=True)
class Reach:
    """A value without any byte of ``needs`` stays as it is; what comes out holds only what went in, and ``adds``."""

    needs: Bytes
    adds: Bytes = ALL


def _command(deleted: bytes) -> Reach:
    return Reach(frozenset(deleted) | frozenset(b",; \t\n\r\f\v") | _CAPITALS, _SMALL | {0x20})


REACH: Mapping[Transformation, Reach] = {
    t.none: Reach(frozenset()),
    t.compress_white_space: Reach(_SPACES | {0xA0}, frozenset(b" ")),
    t.remove_white_space: Reach(_SPACES | {0xA0}, frozenset()),
    t.lowercase: Reach(_CAPITALS, _SMALL),
    t.uppercase: Reach(_SMALL, _CAPITALS),
    t.trim: Reach(_SPACES, frozenset()),
    t.trim_left: Reach(_SPACES, frozenset()),
    t.trim_right: Reach(_SPACES, frozenset()),
    t.remove_nulls: Reach(frozenset(b"\0"), frozenset()),
    t.replace_nulls: Reach(frozenset(b"\0"), frozenset(b" ")),
    t.url_decode: Reach(frozenset(b"%+")),
    t.url_decode_uni: Reach(frozenset(b"%+")),
    t.html_entity_decode: Reach(frozenset(b"&")),
    t.js_decode: Reach(frozenset(b"\\")),
    t.js_decode_ext: Reach(frozenset(b"\\")),
    t.css_decode: Reach(frozenset(b"\\")),
    t.escape_seq_decode: Reach(frozenset(b"\\")),
    t.utf8_to_unicode: Reach(frozenset(range(0x80, 0x100)), frozenset(b"%u0123456789abcdef")),
    t.sql_hex_decode: Reach(frozenset(b"xX")),
    t.replace_comments: Reach(frozenset(b"*"), frozenset(b" ")),
    t.remove_comments_char: Reach(frozenset(b"*-#"), frozenset()),
    t.cmd_line: _command(b"\\\"'^"),
    t.cmd_line_unix: _command(b"\\\"'"),
    t.cmd_line_win: _command(b"\"'^"),
    t.normalize_path: Reach(frozenset(b"./"), frozenset()),
    t.normalize_path_win: Reach(frozenset(b"./\\"), frozenset(b"/")),
    t.replace_semicolons: Reach(frozenset(b";"), frozenset(b"&")),
}


def needed(steps: Steps, present: Bytes) -> Steps:
    """The steps that may do something to a value of these bytes."""
    kept: list[Transformation] = []
    for step in steps:
        reach = REACH.get(step)
        if reach is not None and reach.needs.isdisjoint(present):
            continue
        kept.append(step)
        present = present | reach.adds if reach is not None else ALL
    return tuple(kept)


class Classes:
    """Bytes that none of these steps tells apart count as one; those that none of them needs, as nothing."""

    def __init__(self, steps: Iterable[Transformation]) -> None:
        needs = [REACH[step].needs for step in set(steps) if step in REACH]
        first: dict[tuple[bool, ...], int] = {}
        kinds = [tuple([byte in each for each in needs]) for byte in range(256)]
        self._table = bytes([first.setdefault(kind, byte) for byte, kind in enumerate(kinds)])
        self._idle = bytes([byte for byte, kind in enumerate(kinds) if not any(kind)])

    def of(self, value: bytes) -> Bytes:
        """One byte of each class that the value holds."""
        return frozenset(value.translate(self._table, self._idle))
