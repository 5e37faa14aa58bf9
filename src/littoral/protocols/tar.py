"""Archives of regular files in GNU tar's plain form: written, and read where there is nothing else in them. Pure.

``tarfile`` knows every form there is, and takes 30 µs for a header, which is as long as all else that is done with a
small file. ("Basic Tar Format" and "Tar Internals" of GNU tar's manual)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
_ZEROS: Final = bytes(BLOCK)
LATEST: Final = 8**11 - 1  # Unix seconds, in the year 2242
_NAME: Final = 100  # bytes of a header's own field
_FILE, _FOLDER, _LONG_NAME, _EXTENDED = b"0", b"5", b"L", b"x"
_ABOUT: Final = b"LITTORAL.about="  # the one record of an extended header that is read and written here
_MAGICS: Final = (b"ustar  \0", b"ustar\x0000")  # GNU's and POSIX's
_NO_PREFIX: Final = bytes(155)  # of a name
_BLANKS: Final = b" " * 8  # stand for the sum while it is made


class Entry(NamedTuple):
    """A regular file: ``size`` bytes of the archive from ``start`` on. ``modified`` is Unix seconds."""

    name: str
    mode: int
    modified: int
    start: int
    size: int
    about: str = ""


class _Other(Exception):
    """Something that is not read here."""


def header(name: str, size: int, mode: int, modified: int) -> bytes:
    """What stands before the bytes of a file. All numbers are at least 0, below 8**11 and ``mode`` below 8**7."""
    encoded = name.encode()
    made = _block(encoded, size, mode, modified, _FILE)
    if len(encoded) <= _NAME:
        return made
    return b"".join((_block(b"././@LongLink", len(encoded) + 1, 0, 0, _LONG_NAME), encoded, b"\0",
                     padding(len(encoded) + 1), made))  # fmt: skip


def told(about: str) -> bytes:
    """What may stand before the header of a file: a text that goes with it, without line ends. Who knows nothing of it
    leaves it out. ("pax Extended Header" of POSIX)"""
    record = b" %b%b\n" % (_ABOUT, about.encode())
    size = len(record) + len(str(len(record)))
    size = len(record) + len(str(size))
    return b"".join((_block(b"././@PaxHeader", size, 0o644, 0, _EXTENDED), b"%d" % size, record, padding(size)))


def padding(size: int) -> bytes:
    """What stands after so many bytes of a file."""
    return bytes(-size % BLOCK)


def read(data: memoryview) -> list[Entry] | None:
    """All its files, in order; None where it is in another form, damaged, or no archive at all: ``tarfile`` knows."""
    try:
        return list(_entries(data))
    except (_Other, ValueError):
        return None


def _block(name: bytes, size: int, mode: int, modified: int, kind: bytes) -> bytes:
    made = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name[:_NAME].ljust(_NAME, b"\0"), mode, 0, 0, size, modified)
    rest = b"%b%b%b%b" % (kind, bytes(100), _MAGICS[0], bytes(247))
    return b"%b%06o\0 %b" % (made, _sum(made + _BLANKS + rest), rest)


def _sum(block: bytes) -> int:
    """Of its bytes, if it is below 65521, as names of 100 bytes leave it. Half of Adler-32 is just that."""
    return (zlib.adler32(block) & 0xFFFF) - 1


def _entries(data: memoryview) -> Iterator[Entry]:
    """Raises _Other, ValueError (UnicodeDecodeError, too)."""
    at, name, about = 0, b"", ""
    while (block := bytes(data[at : at + BLOCK])) != _ZEROS:
        if len(block) < BLOCK or block[257:265] not in _MAGICS or block[345:500] != _NO_PREFIX:
            raise _Other
        if _number(block[148:156]) != _sum(block[:148] + _BLANKS + block[156:]):
            raise _Other
        size, kind = _number(block[124:136]), block[156:157]
        start = at + BLOCK
        at = start + size + -size % BLOCK
        if at > len(data) or (kind == _FOLDER and size):
            raise _Other
        if kind == _LONG_NAME:
            name = bytes(data[start : start + size])
            continue
        if kind == _EXTENDED:
            about = _about(bytes(data[start : start + size]))
            continue
        if kind == _FILE:
            named = (name or block[:_NAME]).partition(b"\0")[0].decode()
            yield Entry(named, _number(block[100:108]), _number(block[136:148]), start, size, about)
        elif kind != _FOLDER:
            raise _Other
        name, about = b"", ""


def _about(record: bytes) -> str:
    """Raises _Other where there is anything else, ValueError."""
    size, _, rest = record.partition(b" ")
    if size != b"%d" % len(record) or not rest.startswith(_ABOUT) or rest.find(b"\n") != len(rest) - 1:
        raise _Other
    return rest[len(_ABOUT) : -1].decode()


def _number(field: bytes) -> int:
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits and not digits.isdigit():
        raise _Other
    return int(digits or b"0", 8)
