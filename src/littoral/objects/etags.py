"""ETags: the MD5, as clients of S3 know it, or what stands in for it where a writer asks for that. Pure.

An MD5 costs fifteen times what a CRC64NVME does, and is most of the work of a large upload. S3 promises none for an
object in parts, nor for one under SSE-KMS or SSE-C ("Checking object integrity in Amazon S3"); but clients that nobody
knows may compute it for parts. So a part has it unless its writer states a CRC64NVME and asks, by the header
``x-littoral-etag: checksum``, for an ETag of that; what no client can compute is never an MD5 where there is a
CRC64NVME.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from littoral.protocols.ownheaders import BY_CHECKSUM, ETAG

ASKED: Final[Mapping[str, str]] = MappingProxyType({ETAG: BY_CHECKSUM})
ALGORITHM: Final = "CRC64NVME"  # which is long enough to tell contents apart, and costs next to nothing


def stand_in(checksum: str, size: int) -> bytes:
    """As many bytes as an MD5 has, of content with that CRC64NVME (base64) and size."""
    return hashlib.md5(f"{ALGORITHM} {checksum} {size}".encode(), usedforsecurity=False).digest()


def of_parts(etags: Iterable[bytes]) -> str:
    """The MD5 of the parts' ETags, and how many they are."""
    held = list(etags)
    return f"{hashlib.md5(b''.join(held), usedforsecurity=False).hexdigest()}-{len(held)}"


def is_by_checksum(etag: str, parts: Iterable[tuple[str | None, int]]) -> bool:
    """Whether an object of parts with these checksums and sizes has that ETag because its writer asked so."""
    held = [(checksum, size) for checksum, size in parts if checksum is not None]
    return bool(held) and etag == of_parts(stand_in(*each) for each in held)
