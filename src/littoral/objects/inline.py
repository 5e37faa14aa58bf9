"""Contents of few bytes, which lie in the index beside what is known of them. Pure, for any thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from littoral.objects.checksums import Checksum, Digests, Stated
from littoral.objects.encryption import Sealing
from littoral.objects.errors import error
from littoral.objects.facts import Content
from littoral.store.contract import Damaged
from littoral.store.frames import CannotOpen, opened, sealed

INLINE: Final = 16 * 1024  # bytes up to which an object lives in the index
IN_INDEX: Final = "0" * 32  # stands for the name of a blob where there is none


@dataclass(frozen=True, slots=True)
class Received:
    content: Content
    checksum: Checksum | None
    found: str | None = None  # its CRC64NVME, which nobody stated

    @property
    def blobs(self) -> list[str]:
        return [piece.blob for piece in self.content.pieces]


def inlined(
    data: bytes, length: int | None, stated: Stated, trailers: Mapping[str, str], sealing: Sealing | None
) -> Received:
    """Verified, and sealed where it is to be. Raises BadDigest, IncompleteBody."""
    digests = stated.digests()
    digests.update(data)
    check_length(digests.size, length)
    checksum = stated.verify(digests, trailers)
    kept = data if sealing is None else sealed(sealing.key, IN_INDEX, data)
    return Received(Content(len(data), etag(digests, sealing), kept), checksum)


def inline_bytes(content: Content, key: bytes | None) -> bytes:
    """Of what lies in the index. Raises Damaged: its ETag is its MD5, or its frame is authenticated."""
    data = content.inline or b""
    if key is None:
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != content.etag:
            raise Damaged("the row of an object is not what was written")
        return data
    try:
        return opened(key, IN_INDEX, content.size, data)
    except CannotOpen as problem:
        raise Damaged(f"the row of an object cannot be opened: {problem}") from problem


def etag(digests: Digests, sealing: Sealing | None) -> str:
    return (digests.tag if sealing is None else sealing.etag(digests.tag)).hex()


def check_length(size: int, declared: int | None) -> None:
    """Raises IncompleteBody."""
    if declared is not None and size != declared:
        message = "You did not provide the number of bytes specified by the Content-Length HTTP header"
        raise error("IncompleteBody", message)
