"""Small files together: a tar that the destination extracts as it arrives (``snowball-auto-extract``). Blocking."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from littoral.box.transfer.items import About, Item
from littoral.box.transfer.sums import SHA256, Sum, sum_of

SMALL: Final = 256 * 1024  # bytes up to which a file goes with others
MOST: Final = 500  # files in a batch
LARGEST: Final = 8 * 1024 * 1024  # bytes of files in a batch
EXTRACT: Final = {"x-amz-meta-snowball-auto-extract": "true"}
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
    """Whether a tar can say its name and all that goes with it."""
    if key.startswith(("/", "./")) or key.endswith("/") or ".." in key.split("/"):
        return False
    mtime = about.metadata.get("file-mtime", "")
    whole = mtime.endswith("0" * 9 + "ns") and mtime[:-11].isdigit()
    return not about.headers and about.metadata.keys() == CARRIED and whole


def pack(contents: Sequence[Content]) -> Batch:
    blocks: list[bytes] = []
    for one in contents:
        blocks += _entry(one).tobuf(tarfile.GNU_FORMAT), one.data, bytes(-len(one.data) % tarfile.BLOCKSIZE)
    data = b"".join((*blocks, bytes(2 * tarfile.BLOCKSIZE)))
    digests = [(sum_of(SHA256, one.data), hashlib.md5(one.data, usedforsecurity=False).hexdigest()) for one in contents]
    return Batch(data, sum_of(SHA256, data), digests)


def _entry(content: Content) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(content.item.key)
    entry.size = len(content.data)
    told: Mapping[str, str] = content.about.metadata
    entry.mtime = int(told["file-mtime"][:-2]) // 10**9
    entry.mode = int(told["file-permissions"], 8)
    return entry


def grouped(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Each large one alone, small ones together."""
    small: list[Item] = []
    size = 0
    for item in items:
        if item.size > SMALL:
            yield [item]
            continue
        if small and (len(small) == MOST or size + item.size > LARGEST):
            yield small
            small, size = [], 0
        small.append(item)
        size += item.size
    if small:
        yield small
