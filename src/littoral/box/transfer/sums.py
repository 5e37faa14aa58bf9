"""Checksums of what is moved, by the names that S3 gives them. Pure.

CRC64NVME is what AWS's own clients state for what they upload: it costs a fifteenth of SHA-256, and those of parts join
to the whole object's. It finds whatever happens to bytes by chance. Against somebody on the way who changes them it is
nothing: there TLS is, or a signature over their SHA-256. ("Checking object integrity in Amazon S3")
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from littoral.protocols.ownheaders import FOUND

CRC64: Final = "CRC64NVME"
SHA256: Final = "SHA256"
SIZES: Final = {CRC64: 8, SHA256: 32}  # bytes of a digest

Bytes = bytes | bytearray | memoryview


@cache
def _crt() -> Any:
    """Loaded when first asked for: it gathers entropy for a fortieth of a second, and small files do not need it."""
    from awscrt import checksums

    return checksums


@dataclass(frozen=True, slots=True)
class Sum:
    algorithm: str  # CRC64 or SHA256; of what a source says also MD5
    digest: bytes

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest.hex()}"

    @property
    def header(self) -> str:
        return header_of(self.algorithm)

    @property
    def value(self) -> str:
        """Base64, as S3 has it."""
        return base64.b64encode(self.digest).decode()

    def is_of(self, data: Bytes) -> bool:
        running = Running(self.algorithm)
        running.update(data)
        return running.digest() == self.digest

    @property
    def told(self) -> dict[str, str]:
        """A report's member: SHA-256 in hex digits, as people compare them."""
        return {"sha256": self.digest.hex()} if self.algorithm == SHA256 else {self.algorithm.lower(): self.value}


def read(text: str) -> Sum:
    """What ``str`` of one is."""
    algorithm, _, digest = text.partition(":")
    return Sum(algorithm, bytes.fromhex(digest))


def sum_of(algorithm: str, data: Bytes) -> Sum:
    if algorithm == CRC64:
        return Sum(CRC64, _crt().crc64nvme(data).to_bytes(SIZES[CRC64]))
    return Sum(SHA256, hashlib.sha256(data).digest())


class Running:
    """One over bytes as they come. ``algorithm`` is also MD5."""

    def __init__(self, algorithm: str) -> None:
        self._crc = 0
        self._hash = None if algorithm == CRC64 else hashlib.new(algorithm, usedforsecurity=algorithm == SHA256)

    def update(self, data: Bytes) -> None:
        if self._hash is None:
            self._crc = _crt().crc64nvme(data, self._crc)
        else:
            self._hash.update(data)

    def digest(self) -> bytes:
        return self._crc.to_bytes(SIZES[CRC64]) if self._hash is None else self._hash.digest()


class Whole:
    """Parts as they come: the checksum of each, and of all of them. ``said`` is what somebody says of it, perhaps by
    another algorithm, and by MD5, too."""

    def __init__(self, algorithm: str, said: Sum | None = None) -> None:
        self.algorithm = algorithm
        self._said = said
        self._proof = None if said is None or said.algorithm == algorithm else Running(said.algorithm)
        self.parts: list[Sum] = []
        self.size = 0  # bytes
        self._crc = 0
        self._running = None if algorithm == CRC64 else Running(algorithm)

    def update(self, data: Bytes) -> Sum:
        part = sum_of(self.algorithm, data)
        if self._running is not None:
            self._running.update(data)
        if self._proof is not None:
            self._proof.update(data)
        self.add(part, len(data))
        return part

    def add(self, part: Sum, size: int) -> None:
        """The next, which was hashed elsewhere: by CRC64NVME."""
        if self._running is None:
            self._crc = _crt().combine_crc64nvme(self._crc, int.from_bytes(part.digest), size)
        self.parts.append(part)
        self.size += size

    @property
    def by_parts(self) -> bool:
        """Whether it is made of its parts' checksums alone, in whatever order those are computed."""
        return self._running is None and self._proof is None

    @property
    def known(self) -> Sum:
        """Of the whole content."""
        digest = self._crc.to_bytes(SIZES[CRC64]) if self._running is None else self._running.digest()
        return Sum(self.algorithm, digest)

    @property
    def as_said(self) -> bool:
        """Once all of it has come."""
        if self._said is None:
            return True
        return self._said.digest == (self.known.digest if self._proof is None else self._proof.digest())

    @property
    def value(self) -> str:
        """As S3 has it of an object of these parts: of SHA-256 that of theirs, "…-N"."""
        if self._running is None:
            return self.known.value
        digest = hashlib.sha256(b"".join(part.digest for part in self.parts)).digest()
        return f"{Sum(self.algorithm, digest).value}-{len(self.parts)}"


def header_of(algorithm: str) -> str:
    return f"x-amz-checksum-{algorithm.lower()}"


_STATED: Final = tuple((algorithm, header_of(algorithm)) for algorithm in SIZES)


def stated(headers: Mapping[str, str]) -> Sum | None:
    """What a head (names in small letters) says of the whole content; None where it is of parts, "…-N", or nothing."""
    known = (_told(headers, algorithm, header) for algorithm, header in _STATED)
    return next((one for one in known if one is not None), None)


def computed(headers: Mapping[str, str]) -> Sum | None:
    """What the place itself has computed, where its writer stated no CRC64NVME: parts may be hashed in any order."""
    return _told(headers, CRC64, FOUND)


def _told(headers: Mapping[str, str], algorithm: str, header: str) -> Sum | None:
    try:
        digest = base64.b64decode(headers.get(header, ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Sum(algorithm, digest) if len(digest) == SIZES[algorithm] else None
