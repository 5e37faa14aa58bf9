"""Small files together: a tar that the destination extracts as it arrives (``snowball-auto-extract``). Blocking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from littoral.box.transfer.items import About, Item, kept
from littoral.box.transfer.sums import SHA256, Sum, sum_of
from littoral.protocols import tar

SMALL: Final = 256 * 1024  # bytes up to which a file goes with others
MOST: Final = 500  # files in a batch
FIRST: Final = 50  # files in the first one, which shows whether archives are extracted there: the others wait for it
LARGEST: Final = 8 * 1024 * 1024  # bytes of files in a batch
EXTRACT: Final = {"x-amz-meta-snowball-auto-extract": "true"}
SAID: Final = frozenset(
    ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
)
_text = json.JSONEncoder(separators=(",", ":")).encode
CARRIED: Final = frozenset(("file-mtime", "file-permissions"))


@dataclass(frozen=True, slots=True)
class Content:
    item: Item
    data: bytes
    about: About


@dataclass(frozen=True, slots=True)
class Batch:
    archive: bytes
    known: Sum
    digests: Sequence[tuple[Sum, str]]  # SHA-256 of each, and its MD5 in hex digits


def fits(key: str, about: About) -> bool:
    """Whether a tar can say its name and all that goes with it, and the same comes out of it."""
    if key.startswith(("/", "./")) or key.endswith("/") or ".." in key.split("/"):
        return False
    return as_file(about) or _sayable(about)


def _sayable(about: About) -> bool:
    """Whether a Littoral understands it as it is written here."""
    texts = (*about.headers.values(), *about.metadata.keys(), *about.metadata.values())
    return about.headers.keys() <= SAID and all(text.isascii() and text.isprintable() for text in texts)


def as_file(about: About) -> bool:
    """Whether a file's time and permissions are all that goes with it: anybody who extracts understands that."""
    if about.headers or about.metadata.keys() != CARRIED:
        return False
    try:
        modified, mode = _told(about)
    except ValueError:
        return False
    if not (0 <= modified <= tar.LATEST and 0 <= mode <= 0o7777):
        return False
    return about.metadata == kept(modified, mode)


def _told(about: About) -> tuple[int, int]:
    """Raises ValueError."""
    return int(about.metadata["file-mtime"][:-2]) // 10**9, int(about.metadata["file-permissions"], 8)


def pack(contents: Sequence[Content]) -> Batch:
    blocks: list[bytes] = []
    for one in contents:
        blocks += _header(one), one.data, tar.padding(len(one.data))
    data = b"".join((*blocks, tar.END))
    digests = [(sum_of(SHA256, one.data), hashlib.md5(one.data, usedforsecurity=False).hexdigest()) for one in contents]
    return Batch(data, sum_of(SHA256, data), digests)


def _header(content: Content) -> bytes:
    key, size, about = content.item.key, len(content.data), content.about
    if not as_file(about):
        return tar.told(_about_text(about)) + tar.header(key, size, 0o644, 0)
    modified, mode = _told(about)
    return tar.header(key, size, mode, modified)


def _about_text(about: About) -> str:
    return _text({"headers": dict(about.headers), "metadata": dict(about.metadata)})


class Grouping:
    """Each large one alone, small ones together."""

    def __init__(self) -> None:
        self._most = FIRST

    def of(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        small: list[Item] = []
        size = 0
        for item in items:
            if item.size > SMALL:
                yield [item]
                continue
            if small and (len(small) == self._most or size + item.size > LARGEST):
                yield self._full(small)
                small, size = [], 0
            small.append(item)
            size += item.size
        if small:
            yield self._full(small)

    def _full(self, small: list[Item]) -> list[Item]:
        self._most = MOST
        return small
