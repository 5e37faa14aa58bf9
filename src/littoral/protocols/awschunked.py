"""The ``aws-chunked`` content coding: signed or unsigned chunks, with or without trailers. Bytes in, bytes out.

    10000;chunk-signature=…\\r\\n <65536 bytes> \\r\\n … 0;chunk-signature=…\\r\\n
    x-amz-checksum-crc32:…\\r\\n x-amz-trailer-signature:…\\r\\n \\r\\n

Source: S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "… with trailing headers".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

MAX_LINE = 1024
MAX_TRAILERS = 16


class MalformedChunk(ValueError):
    """The coding is broken."""


class CutOff(MalformedChunk):
    """It ended too early."""


class MalformedTrailer(MalformedChunk):
    """What follows the last chunk is no header."""


class BadChunkSignature(ValueError):
    """A chunk or the trailer is not signed by whom it says."""


class Decoder:
    """Feed bytes, get content.

    ``verify_chunk(hash, signature)`` and ``verify_trailer(text, signature)`` say whether a signature holds; None for
    unsigned streams, and a signed one without ``verify_trailer`` must have no trailers. The trailer's signature is its
    last line: nothing can be added behind it.

    Content of a chunk comes out before its signature is known: do not commit before ``finish``. Line ends behind
    the last one count for nothing: AWS's own example has one too many.
    """

    def __init__(
        self,
        verify_chunk: Callable[[str, str], bool] | None,
        verify_trailer: Callable[[bytes, str], bool] | None = None,
    ) -> None:
        self._verify_chunk = verify_chunk
        self._verify_trailer = verify_trailer
        self._held = bytearray()  # of a line that has not ended
        self._left = 0  # content bytes of the current chunk still to come
        self._state = "size"
        self._hash = hashlib.sha256()
        self._signature = ""
        self._trailer_text = b""
        self._trailer_signed = False
        self.trailers: dict[str, str] = {}
        self.size = 0

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """Content: parts of ``data``. Raises MalformedChunk, BadChunkSignature."""
        content: list[memoryview] = []
        rest = memoryview(data)
        while rest:
            if self._state == "data":
                piece, rest = rest[: self._left], rest[self._left :]
                content.append(piece)
                self._take_data(piece)
            elif self._state == "done":
                if bytes(rest).strip(b"\r\n"):
                    raise MalformedChunk("bytes after the last chunk")
                break
            else:
                line, rest = self._line(rest)
                if line is not None:
                    self._take_line(line)
        return content

    def finish(self) -> None:
        """The stream has ended. Raises CutOff where it should not have."""
        if self._state != "done":
            raise CutOff("the stream ended before its last chunk")

    def _line(self, data: memoryview) -> tuple[bytes | None, memoryview]:
        """The line that ends in ``data``, or None, and what follows it."""
        held = len(self._held)
        self._held += data[: MAX_LINE + 2 - held]
        end = self._held.find(b"\r\n")
        if end < 0:
            if len(self._held.removesuffix(b"\r")) > MAX_LINE:
                raise MalformedChunk("a line that is too long")
            return None, data[len(self._held) - held :]
        line = bytes(self._held[:end])
        self._held.clear()
        return line, data[end + 2 - held :]

    def _take_line(self, line: bytes) -> None:
        if self._state == "size":
            self._begin_chunk(line)
        elif self._state == "trailer":
            self._take_trailer(line)
        elif line:
            raise MalformedChunk("no line end after a chunk")
        else:
            self._state = "size"

    def _begin_chunk(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        if not 1 <= len(size) <= 16 or size.strip(b"0123456789abcdefABCDEF"):
            raise MalformedChunk("a chunk size that is not a number")
        self._left = int(size, 16)
        self._signature = extension.removeprefix(b"chunk-signature=").decode("ascii", "replace")
        self._hash = hashlib.sha256()
        if self._left:
            self._state = "data"
        else:
            self._end_chunk()
            self._state = "trailer"

    def _take_data(self, piece: memoryview) -> None:
        self._left -= len(piece)
        self.size += len(piece)
        if self._verify_chunk is not None:
            self._hash.update(piece)
        if not self._left:
            self._end_chunk()
            self._state = "after"

    def _end_chunk(self) -> None:
        if self._verify_chunk is not None and not self._verify_chunk(self._hash.hexdigest(), self._signature):
            raise BadChunkSignature("a chunk's signature does not match")

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            if self._verify_trailer is not None and not self._trailer_signed:
                raise BadChunkSignature("the trailer is not signed")
            self._state = "done"
            return
        if self._trailer_signed or (self._verify_chunk is not None and self._verify_trailer is None):
            raise MalformedChunk("a trailer that no signature covers")
        name, colon, value = line.partition(b":")
        if not colon or len(self.trailers) >= MAX_TRAILERS:
            raise MalformedTrailer("a trailer that is not a header")
        key = name.strip().lower().decode("ascii", "replace")
        text = value.strip().decode("latin-1")
        if key == "x-amz-trailer-signature":
            if self._verify_trailer is not None and not self._verify_trailer(self._trailer_text, text):
                raise BadChunkSignature("the trailer's signature does not match")
            self._trailer_signed = True
            return
        self._trailer_text += key.encode() + b":" + value.strip() + b"\n"
        self.trailers[key] = text
