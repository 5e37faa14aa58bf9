"""The first message of a TLS client, and the fingerprints that are made of it: JA3 and JA4.

Owns: finding the ClientHello in the bytes that begin a connection, and both digests. Knows no socket.

    read(data) → ClientHello        it is whole
               → int                so many bytes are needed before more can be said
               → None               no TLS, or nothing that can be made sense of

Values that clients draw at random (GREASE, RFC 8701) are in neither. JA3 hashes the lists in the order that the client
sent them; JA4 sorts ciphers and extensions first, so that a client which shuffles them (browsers do) is still itself.

Sources: RFC 8446 s. 4.1.2 and 5.1, RFC 6066 s. 3, RFC 7301; "TLS Fingerprinting with JA3" (Salesforce); the technical
details of JA4 (FoxIO).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 32 * 1024  # bytes of a ClientHello that are waited for
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _GROUPS, _FORMATS, _SIGNATURES, _ALPN, _VERSIONS = 0, 10, 11, 13, 16, 43
_SPOKEN = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NOTHING = "000000000000"


@dataclass(frozen=True, slots=True)
class ClientHello:
    """Numbers as they were sent, without those that mean nothing."""

    version: int
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    formats: tuple[int, ...] = ()
    signatures: tuple[int, ...] = ()
    versions: tuple[int, ...] = ()
    alpn: bytes = b""  # the first that is offered


class Malformed(Exception):
    """A length that leads beyond the end."""


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise Malformed
        self._at += count
        return found

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def block(self, width: int) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.number(width))


def missing(data: bytes) -> int | None:
    """How many bytes the ClientHello is short of, as far as can be told; 0: it is whole; None: it is none."""
    message = _message(data)
    return max(0, message - len(data)) if isinstance(message, int) else None if message is None else 0


def read(data: bytes) -> ClientHello | int | None:
    message = _message(data)
    if not isinstance(message, bytes):
        return message
    try:
        return _hello(_Reader(message))
    except Malformed:
        return None


def _message(data: bytes) -> bytes | int | None:
    """The handshake message without its head; it may be spread over several records."""
    message, at, wanted = b"", 0, 4
    while len(message) < wanted:
        head = data[at : at + 5]
        if (head and head[0] != _HANDSHAKE) or (len(head) > 1 and head[1] != 3):
            return None
        if len(head) < 5:
            return at + 5
        length = int.from_bytes(head[3:5], "big")
        if not length:
            return None
        message += data[at + 5 : at + 5 + length]
        if message and message[0] != _CLIENT_HELLO:
            return None
        if len(message) >= 4:
            wanted = 4 + int.from_bytes(message[1:4], "big")
            if wanted > LONGEST:
                return None
        at += 5 + length
        if at > len(data):
            return at
    return message[4:wanted]


def _hello(reader: _Reader) -> ClientHello:
    version = reader.number(2)
    reader.take(32)  # random
    reader.block(1)  # session id
    ciphers = _meant(_numbers(reader.block(2)))
    reader.block(1)  # compression
    found = dict(_extensions(_Reader(reader.block(2)))) if reader else {}
    return ClientHello(
        version,
        ciphers,
        _meant(found),
        _meant(_numbers(_inner(found, _GROUPS, 2))),
        tuple(_inner(found, _FORMATS, 1)),
        _meant(_numbers(_inner(found, _SIGNATURES, 2))),
        _meant(_numbers(_inner(found, _VERSIONS, 1))),
        _first_protocol(_inner(found, _ALPN, 2)),
    )


def _extensions(reader: _Reader) -> Iterable[tuple[int, bytes]]:
    while reader:
        yield reader.number(2), reader.block(2)


def _inner(found: dict[int, bytes], kind: int, width: int) -> bytes:
    content = found.get(kind)
    return _Reader(content).block(width) if content else b""


def _first_protocol(content: bytes) -> bytes:
    return _Reader(content).block(1) if content else b""


def _numbers(content: bytes) -> tuple[int, ...]:
    if len(content) % 2:
        raise Malformed
    return tuple(int.from_bytes(content[at : at + 2], "big") for at in range(0, len(content), 2))


def _meant(numbers: Iterable[int]) -> tuple[int, ...]:
    """Without GREASE: 0x0a0a, 0x1a1a, … 0xfafa."""
    return tuple(each for each in numbers if each & 0x0F0F != 0x0A0A or each >> 8 != each & 0xFF)


def ja3_text(hello: ClientHello) -> str:
    lists = (hello.ciphers, hello.extensions, hello.groups, hello.formats)
    return ",".join((str(hello.version), *("-".join(map(str, each)) for each in lists)))


def ja3(hello: ClientHello) -> str:
    """32 hexadecimal digits."""
    return hashlib.md5(ja3_text(hello).encode(), usedforsecurity=False).hexdigest()


def ja4(hello: ClientHello) -> str:
    """36 characters: ``t13d1516h2_8daaf6152771_e5627efa2ab1``, over TCP."""
    named = "d" if _SERVER_NAME in hello.extensions else "i"
    spoken = _SPOKEN.get(max(hello.versions, default=hello.version), "00")
    counts = f"{min(len(hello.ciphers), 99):02}{min(len(hello.extensions), 99):02}"
    ciphers = _digest(_listed(sorted(hello.ciphers)))
    sorts = _listed(sorted(each for each in hello.extensions if each not in (_SERVER_NAME, _ALPN)))
    if sorts and hello.signatures:
        sorts += "_" + _listed(hello.signatures)
    return f"t{spoken}{named}{counts}{_ends(hello.alpn)}_{ciphers}_{_digest(sorts)}"


def _ends(protocol: bytes) -> str:
    """The first and the last character; of their hexadecimal digits, where one is no letter and no digit."""
    if not protocol:
        return "00"
    first, last = protocol[:1], protocol[-1:]
    if first.isalnum() and last.isalnum():
        return (first + last).decode("ascii")
    return first.hex()[0] + last.hex()[1]


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(f"{each:04x}" for each in numbers)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else _NOTHING
