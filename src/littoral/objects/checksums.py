"""Checksums of bodies: which one the caller states, computing it on the way in, joining those of parts. Pure.

A body may come with Content-MD5 and with one ``x-amz-checksum-…``, as a header or as a trailer after the body. The MD5
is computed where it is the ETag (``etags``), or stated. ("Checking object integrity in Amazon S3")
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from littoral.aws.refusals import malformed_trailer
from littoral.net.message import Headers
from littoral.objects import etags
from littoral.objects.errors import error, invalid_argument

TRAILER = "x-amz-trailer"


class Digest(Protocol):
    def update(self, data: Any, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Crc:
    size: int  # bytes of it
    update: Callable[[Any, int], int]  # (data, CRC of what came before) to CRC
    join: Callable[[int, int, int], int]  # (CRC, CRC of what follows, bytes of what follows) to CRC of both


class CrcDigest:
    def __init__(self, crc: Crc) -> None:
        self._crc, self._value = crc, 0

    def update(self, data: Any, /) -> None:
        self._value = self._crc.update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._crc.size, "big")


class XxDigest:
    """XXH64, XXH3 of 64 and of 128 bits, with seed 0, in their canonical form (big-endian)."""

    def __init__(self, hashing: Any) -> None:
        self._hashing = hashing

    def update(self, data: Any, /) -> None:
        self._hashing.update(bytes(data))  # it takes nothing that could be changed meanwhile

    def digest(self) -> bytes:
        found: bytes = self._hashing.finalize()
        return found


@dataclass(frozen=True, slots=True)
class Algorithm:
    name: str  # as in ChecksumAlgorithm
    new: Callable[[], Digest]
    joins: Crc | None = None  # how checksums of parts make the whole object's; only CRCs can
    full_by_default: bool = False  # of a multipart object

    @property
    def member(self) -> str:
        return f"Checksum{self.name}"

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.name.lower()}"


@cache
def _crt() -> Any:
    """Loaded when first asked for: a core whose clients ask for no such checksum is a megabyte smaller."""
    from awscrt import checksums

    return checksums


CRC32 = Crc(4, zlib.crc32, lambda *both: _crt().combine_crc32(*both))
CRC32C = Crc(4, lambda data, crc: _crt().crc32c(data, crc), lambda *both: _crt().combine_crc32c(*both))
CRC64NVME = Crc(8, lambda data, crc: _crt().crc64nvme(data, crc), lambda *both: _crt().combine_crc64nvme(*both))
ALGORITHMS = {
    each.name: each
    for each in (
        Algorithm("CRC32", lambda: CrcDigest(CRC32), CRC32),
        Algorithm("CRC32C", lambda: CrcDigest(CRC32C), CRC32C),
        Algorithm("CRC64NVME", lambda: CrcDigest(CRC64NVME), CRC64NVME, full_by_default=True),
        Algorithm("SHA1", lambda: hashlib.sha1(usedforsecurity=False)),
        Algorithm("SHA256", hashlib.sha256),
        Algorithm("SHA512", hashlib.sha512),
        Algorithm("MD5", lambda: hashlib.md5(usedforsecurity=False)),
        Algorithm("XXHASH64", lambda: XxDigest(_crt().XXHash.new_xxhash64())),
        Algorithm("XXHASH3", lambda: XxDigest(_crt().XXHash.new_xxhash3_64())),
        Algorithm("XXHASH128", lambda: XxDigest(_crt().XXHash.new_xxhash3_128())),
    )
}


_KNOWN = frozenset(
    (
        *(each.header.encode() for each in ALGORITHMS.values()),
        b"x-amz-checksum-algorithm",
        b"x-amz-checksum-mode",
        b"x-amz-checksum-type",
    )
)


# How operations call their members: checksum_crc32_c of ChecksumCRC32C.
ARGUMENTS = {name: f"checksum_{re.sub('(?<=[0-9])(?=[A-Z])', '_', name).lower()}" for name in ALGORITHMS}


def stated_in(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The checksums, by algorithm, that the caller of an operation stated. ``arguments`` are the operation's: its
    ``locals()``, so that none of the ten has to be named once more."""
    return {name: arguments[each] for name, each in ARGUMENTS.items() if arguments[each] is not None}


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    value: str  # base64; of a composite one with "-N"
    kind: str = "FULL_OBJECT"  # or COMPOSITE

    def members(self) -> dict[str, str]:
        """As operations return it."""
        return {ALGORITHMS[self.algorithm].member: self.value, "ChecksumType": self.kind}


@dataclass(frozen=True, slots=True)
class Stated:
    """What the caller says the body is."""

    md5: bytes | None = None
    algorithm: Algorithm | None = None
    value: str | None = None  # None while it is still to come, as a trailer
    wanted: bool = False  # the checksum is wanted of us, and stated by nobody
    by_checksum: bool = False  # the ETag may be of the checksum
    besides: bool = False  # its CRC64NVME is to be found, whatever is stated

    @classmethod
    def of(
        cls,
        content_md5: str | None,
        given: Mapping[str, str],
        algorithm: str | None,
        trailer: str | None,
    ) -> Stated:
        """``given`` by algorithm; ``trailer`` is the x-amz-trailer header. Raises InvalidDigest, InvalidRequest."""
        announced = _announced(trailer)
        if len(given) + len(announced) > 1:
            more = "" if announced else " Multiple checksum Types are not allowed."
            raise error("InvalidRequest", f"Expecting a single x-amz-checksum- header.{more}")
        chosen = next(iter(given), None) or next(iter(announced), None)
        if algorithm is not None:
            algorithm = algorithm.upper()
            if algorithm not in ALGORITHMS:
                raise error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
            if chosen is None and algorithm == "MD5" and content_md5 is not None:  # so AWS's SDK for JavaScript
                return cls(_md5(content_md5))
            if chosen is None:
                message = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or"
                raise error("InvalidRequest", f"{message} x-amz-trailer headers were found.")
            if chosen != algorithm:
                raise error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
        if chosen is None:
            return cls(_md5(content_md5))
        value = given.get(chosen)
        if value is not None:
            check_value(ALGORITHMS[chosen], value)
        return cls(_md5(content_md5), ALGORITHMS[chosen], value)

    def digests(self) -> Digests:
        fits = self.algorithm is not None and self.algorithm.name == etags.ALGORITHM
        by_checksum = self.by_checksum and self.md5 is None and fits
        return Digests(self.algorithm, by_checksum=by_checksum, besides=self.besides and not fits)

    def verify(self, found: Digests, trailers: Mapping[str, str]) -> Checksum | None:
        """The checksum to keep. Raises BadDigest, InvalidRequest; MalformedTrailerError where what came behind the body
        is not what was announced: what nobody compares is not taken for compared."""
        if self.md5 is not None and self.md5 != found.md5:
            raise error("BadDigest", "The Content-MD5 you specified did not match what we received.")
        trailing = self.algorithm is not None and self.value is None and not self.wanted
        if set(trailers) != ({self.algorithm.header} if trailing and self.algorithm is not None else set()):
            raise malformed_trailer()
        if self.algorithm is None or found.checksum is None:
            return None
        if self.wanted:
            return Checksum(self.algorithm.name, found.checksum)
        value = self.value if self.value is not None else trailers[self.algorithm.header]
        check_value(self.algorithm, value, "trailing header" if trailing else "header")
        if value != found.checksum:
            message = f"The {self.algorithm.name} you specified did not match the calculated checksum."
            raise error("BadDigest", message)
        return Checksum(self.algorithm.name, value)


@dataclass(slots=True)
class Digests:
    """The MD5 and at most one checksum of a body, computed together, and a CRC64NVME ``besides`` where that is wanted;
    the MD5 is left out where the ETag is ``by_checksum``. ``update`` may run in a thread."""

    algorithm: Algorithm | None = None
    by_checksum: bool = False
    besides: bool = False
    size: int = 0
    _md5: Digest | None = field(init=False)
    _other: Digest | None = field(init=False)
    _besides: Digest | None = field(init=False)

    def __post_init__(self) -> None:
        self._md5 = None if self.by_checksum else hashlib.md5(usedforsecurity=False)
        self._other = None
        if self.algorithm is not None:
            self._other = self._md5 if self.algorithm.name == "MD5" else self.algorithm.new()
        self._besides = CrcDigest(CRC64NVME) if self.besides else None

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self.size += len(data)
        if self._md5 is not None:
            self._md5.update(data)
        if self._other is not None and self._other is not self._md5:
            self._other.update(data)
        if self._besides is not None:
            self._besides.update(data)

    @property
    def md5(self) -> bytes:
        """Where it is computed."""
        assert self._md5 is not None
        return self._md5.digest()

    @property
    def tag(self) -> bytes:
        """What the ETag is of: the MD5, or what stands in for it."""
        return etags.stand_in(self.checksum or "", self.size) if self.by_checksum else self.md5

    @property
    def checksum(self) -> str | None:
        return _encoded(self._other)

    @property
    def found(self) -> str | None:
        """The CRC64NVME ``besides``."""
        return _encoded(self._besides)


def of_document(headers: Headers) -> list[tuple[Digest, str | None, str, str]]:
    """Of a request whose body is a document: what is to be computed, what it shall be, its name, and that of the
    trailer that says what it shall be, where nothing did before. Raises InvalidRequest."""
    given = {each.name: value for each in ALGORITHMS.values() if (value := headers.get(each.header)) is not None}
    stated = stated_by(headers, headers.get("content-md5"), given, headers.get("x-amz-sdk-checksum-algorithm"))
    if stated.algorithm is None:
        return []
    return [(stated.algorithm.new(), stated.value, stated.algorithm.name, stated.algorithm.header)]


def stated_by(headers: Headers, content_md5: str | None, given: Mapping[str, str], algorithm: str | None) -> Stated:
    """Of the request that brings a body. Raises InvalidDigest, InvalidRequest, also for a checksum that none here is:
    who sends it relies on its being compared."""
    for name, _ in headers.raw:
        if name.startswith(b"x-amz-checksum-") and name not in _KNOWN:
            raise error("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
    return Stated.of(content_md5, given, algorithm, headers.get(TRAILER))


def wants_checksum(mode: str | None) -> bool:
    """Whether a reader wants to be told of it. Raises InvalidRequest."""
    if mode is not None and mode.upper() != "ENABLED":
        raise error("InvalidRequest", "Value for x-amz-checksum-mode header is invalid.")
    return mode is not None


def algorithm_of(name: str | None) -> Algorithm | None:
    """Raises InvalidRequest."""
    if name is None:
        return None
    _check_known(name)
    return ALGORITHMS[name]


def check_value(algorithm: Algorithm, value: str, place: str = "header") -> None:
    """Raises InvalidRequest where it is not the base64 of a checksum of that kind."""
    if not _fits(algorithm, value):
        raise error("InvalidRequest", f"Value for {algorithm.header} {place} is invalid.")


def check_of_part(stated: Mapping[str, str]) -> None:
    """``stated`` of one part, by algorithm, in the list that completes an upload. Raises InvalidArgument."""
    if len(stated) > 1 or not all(_fits(ALGORITHMS[name], value) for name, value in stated.items()):
        message = "Invalid Base64 or multiple checksums present in request"
        raise invalid_argument(message, "Checksum", "".join(f"{name}:{value};" for name, value in stated.items()))


def kind_of(algorithm: Algorithm, asked: str | None) -> str:
    """How the checksums of an upload's parts become the object's. Raises InvalidRequest."""
    if asked is None:
        return "FULL_OBJECT" if algorithm.full_by_default else "COMPOSITE"
    if (asked == "FULL_OBJECT" and algorithm.joins is None) or (asked == "COMPOSITE" and algorithm.full_by_default):
        message = f"The {asked} checksum type cannot be used with the {algorithm.name.lower()} checksum algorithm."
        raise error("InvalidRequest", message)
    return asked


def joined(algorithm: Algorithm, kind: str, parts: Iterable[tuple[str, int]]) -> Checksum:
    """Of a multipart object, from the (checksum, size) of its parts in order."""
    values = [(base64.b64decode(value), size) for value, size in parts]
    if kind == "COMPOSITE":
        digest = algorithm.new()
        digest.update(b"".join(raw for raw, _ in values))
        return Checksum(algorithm.name, f"{base64.b64encode(digest.digest()).decode()}-{len(values)}", kind)
    assert algorithm.joins is not None
    whole = 0
    for raw, size in values:
        whole = algorithm.joins.join(whole, int.from_bytes(raw, "big"), size)
    return Checksum(algorithm.name, base64.b64encode(whole.to_bytes(algorithm.joins.size, "big")).decode(), kind)


def _fits(algorithm: Algorithm, value: str) -> bool:
    raw = _decoded(value)
    return raw is not None and len(raw) == len(algorithm.new().digest())


def _encoded(digest: Digest | None) -> str | None:
    return None if digest is None else base64.b64encode(digest.digest()).decode()


def _check_known(name: str) -> None:
    if name not in ALGORITHMS:
        raise error("InvalidRequest", f"Checksum algorithm {name[:40]} is not one of {', '.join(ALGORITHMS)}.")


def _announced(trailer: str | None) -> list[str]:
    names = [name.strip().lower() for name in (trailer or "").split(",") if name.strip()]
    by_header = {each.header: each.name for each in ALGORITHMS.values()}
    for name in names:
        if name not in by_header:
            raise error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return [by_header[name] for name in names]


def _md5(content_md5: str | None) -> bytes | None:
    if content_md5 is None:
        return None
    raw = _decoded(content_md5)
    if raw is None or len(raw) != 16:
        raise error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return raw


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
