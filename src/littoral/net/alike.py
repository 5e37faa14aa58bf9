"""The head of the latest signed request of a connection, or of one with a body, and what is like it.

Owns: knowing when a read is one whole request whose head differs from the one before in its target, its length and the
values of a few fields (``FREE``), so that it need not be parsed again. A client that signs its calls never sends a head
twice, but all it changes from one to the next is the date, the signature and the like. Knows no socket.

It is never a second parser: line by line it compares with what llhttp and ``check_request_head`` have accepted; where a
line may differ, the new bytes are such as need no judgement and say nothing of framing, routing or the connection.
"""

from __future__ import annotations

import re

from littoral.net.message import RawHeaders
from littoral.net.repeated import PATIENCE, PLAIN_TARGET, VERSION

FREE = frozenset(
    b"authorization x-amz-date x-amz-target x-amz-content-sha256 amz-sdk-invocation-id amz-sdk-request x-amzn-trace-id "
    b"content-md5 x-amz-checksum-crc32 x-amz-checksum-crc64nvme range".split()
)
_LENGTH = b"content-length"
_SIGNATURE = b"Signature="  # what changes in an Authorization is behind it
_VALUE = re.compile(rb"[!-~]+(?: [!-~]+)*\Z").match


class AlikeHead:
    """``method`` and ``target`` are those of the request that was read last. ``in_vain`` counts the heads kept since
    one was of use."""

    __slots__ = (
        "_before_length",
        "_free",
        "_headers",
        "_length",
        "_limit",
        "_lines",
        "_size",
        "_start",
        "in_vain",
        "method",
        "target",
    )

    def __init__(self, limit: int) -> None:
        """``limit``: only heads of at most this many bytes are kept."""
        self.method = self.target = ""
        self.in_vain = 0
        self._limit = limit
        self._lines: list[bytes] = []
        self._headers: RawHeaders = []
        self._free: list[tuple[int, bytes, bytes, bytes]] = []  # place, name, how line and value begin
        self._length = 0  # place of Content-Length where there is a body
        self._before_length = b""  # of its line
        self._size = 0  # bytes of body
        self._start = b""  # of the first line

    def read(self, data: bytes) -> tuple[RawHeaders, bytes] | None:
        """Headers and body of a request like the one kept, where ``data`` is that and nothing else."""
        end = data.find(b"\r\n\r\n", 0, self._limit)
        lines, kept = data[:end].split(b"\r\n"), self._lines
        if end < 0 or len(lines) != len(kept):
            return None
        headers, body = self._headers.copy(), data[end + 4 :]
        for place, name, start, before in self._free:
            line, same = lines[place], kept[place]
            if line != same:
                value = line[len(start) :]
                if not line.startswith(start) or not (value.isalnum() or _VALUE(value)):
                    return None
                headers[place - 1] = name, before + value
                lines[place] = same
        if len(body) != self._size and not self._another_length(lines, headers, len(body)):
            return None
        if lines != kept and not self._other_target(lines):
            return None
        self.in_vain = 0
        return headers, body

    def _another_length(self, lines: list[bytes], headers: RawHeaders, size: int) -> bool:
        """Whether a line says that this is the length of the body; then it is the length from now on."""
        place, number = self._length, b"%d" % size
        if not place or lines[place] != self._before_length + number:
            return False
        self._size = size
        self._lines[place] = lines[place]
        self._headers[place - 1] = headers[place - 1] = _LENGTH, number
        return True

    def _other_target(self, lines: list[bytes]) -> bool:
        """Whether that is all they differ in; then it is the target from now on."""
        first, start = lines[0], self._start
        end = len(first) - len(VERSION)
        if lines[1:] != self._lines[1:] or not (first.startswith(start) and first.endswith(VERSION)):
            return False
        if not PLAIN_TARGET(first, len(start), end):
            return False
        self.target = first[len(start) : end].decode("ascii")
        self._lines[0] = first
        return True

    def keep(self, data: bytes, method: str, target: str, headers: RawHeaders, size: int) -> None:
        """Remember a head that was found good, lets the connection be kept, began in this read and has ``size`` bytes
        of body, framed by their number. Not kept when the read held anything besides, or when it is not HTTP/1.1."""
        self._lines, self._free, self._length = [], [], 0
        self.in_vain += 1
        if self.in_vain >= PATIENCE:
            self._headers = []
            return
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self._start = method.encode("ascii") + b" "
        first = self._start + target.encode("latin-1") + VERSION
        if len(head) + 4 > self._limit or len(body) != size or lines[0] != first or len(lines) != len(headers) + 1:
            return
        for place, (name, value) in enumerate(headers, 1):
            line = lines[place]
            if name == _LENGTH and size:
                self._length, self._before_length = place, line[: len(line) - len(value)]
            elif name in FREE and value and line.endswith(value):
                at = value.rfind(_SIGNATURE) + len(_SIGNATURE) if _SIGNATURE in value else 0
                self._free.append((place, name, line[: len(line) - len(value) + at], value[:at]))
        self.method, self.target, self._size = method, target, size
        self._lines, self._headers = lines, headers
