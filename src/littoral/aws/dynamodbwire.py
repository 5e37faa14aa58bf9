"""What DynamoDB's endpoint does and others do not: bodies compressed both ways, and pages of any origin may call it.

==================  =======================================================================================
request             ``Content-Encoding`` gzip (also several in a row) or deflate; what it holds is counted as it is
                    inflated and ends at the service's limit. What cannot be inflated is, as on AWS, a 500
response            from 4 KiB on as ``Accept-Encoding`` wishes, read as leniently as AWS reads it
``Origin``          ``*``, also to a preflight; never where signatures are not verified: any page could call then
``__type``          of an error has its namespace in front
==================  =======================================================================================
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from littoral.aws.asked import Asked
from littoral.aws.bodies import CheckedBody
from littoral.aws.service import modelled
from littoral.net.message import Body, Headers, Request, Response

SERVICES: Final = frozenset(("dynamodb", "dynamodbstreams"))
SMALLEST: Final = 4096  # bytes of a response that is compressed
PIECE: Final = 64 * 1024  # bytes inflated at a time
WINDOWS: Final = {"gzip": 31, "deflate": 15}  # zlib's wbits; the better one first
EXPOSED: Final = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"
MAX_AGE: Final = "172800"  # seconds that a browser keeps the preflight's answer, as AWS says
_NAMESPACES: Final = {"ValidationException": "com.amazon.coral.validate"}
_WEIGHT = re.compile(r"q=([^;]*)")


def error_type(code: str, *, modelled: bool) -> str:
    """What stands in ``__type``. What the model does not name is the framework's, not DynamoDB's."""
    usual = "com.amazonaws.dynamodb.v20120810" if modelled else "com.amazon.coral.service"
    return f"{_NAMESPACES.get(code, usual)}#{code}"


# --------------------------------------------------------------------------------------------------- bodies


def inflated(asked: Asked, body: Body) -> Body:
    """The body as it was before it was compressed. Raises ServiceError for an encoding that is not there."""
    encoding = asked.field(b"content-encoding")
    if encoding is None or encoding.lower() == "identity":
        return body
    if encoding.lower() not in WINDOWS:
        raise _failure(f"Content-Encoding {encoding} is not known")
    return Inflated(body, encoding.lower())


class Inflated(CheckedBody):
    """Whoever reads it holds the limit; no more than a piece beyond it is ever made."""

    def __init__(self, body: Body, encoding: str) -> None:
        self._body = body
        self._encoding = encoding
        self._stream = zlib.decompressobj(WINDOWS[encoding])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:
            try:
                for piece in self._pieces(data):
                    yield piece
            except zlib.error as problem:
                raise _failure(f"The body is no {self._encoding}: {problem}") from None
        if not self._stream.eof:
            raise _failure(f"The body is no whole {self._encoding}")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Raises zlib.error."""
        left, piece = data, b""
        while left or len(piece) == PIECE:  # a full piece: there may be more of what was already read
            if self._stream.eof and left:
                self._begin_next()
            piece = self._stream.decompress(left, PIECE)
            left = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            yield piece

    def _begin_next(self) -> None:
        """RFC 1952 s. 2.2: members follow one another."""
        if self._encoding != "gzip":
            raise zlib.error("there is more behind its end")
        self._stream = zlib.decompressobj(WINDOWS["gzip"])


_failure = modelled("InternalServerError", 500)


def deflated(asked: Asked, response: Response) -> None:
    """Compress the response where the caller wishes it and it is worth it."""
    accepted = asked.field(b"accept-encoding")
    data = response.body
    if accepted is None or not isinstance(data, bytes) or len(data) < SMALLEST:
        return
    encoding = chosen(accepted)
    if encoding is None:
        return
    stream = zlib.compressobj(wbits=WINDOWS[encoding])
    response.body = stream.compress(data) + stream.flush()
    response.headers.set("content-encoding", encoding)


def chosen(accepted: str) -> str | None:
    """Of gzip and deflate the one of the greater weight; where equal the first that is named."""
    weights: dict[str, float] = {}
    for item in accepted.split(","):
        name = item.partition(";")[0].strip().lower()
        weights[name] = max(weights.get(name, 0.0), _weight(item))
    known = {name: weight for name, weight in weights.items() if name in WINDOWS}
    for name in WINDOWS:
        known.setdefault(name, weights.get("*", 0.0))
    best = max(known, key=known.__getitem__)
    return best if known[best] else None


def _weight(item: str) -> float:
    found = _WEIGHT.search(item)
    if found is None:
        return 1.0
    try:
        return min(1.0, max(0.0, float(found[1])))
    except ValueError:
        return 1.0


# ----------------------------------------------------------------------------------------------------- CORS


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks whether a page may call; None where it is not that."""
    if request.method != "OPTIONS" or request.target != "/" or "origin" not in request.headers:
        return None
    headers = Headers.of([("access-control-max-age", MAX_AGE)])
    for asked, answer in (("method", "methods"), ("headers", "headers")):
        wanted = request.headers.get(f"access-control-request-{asked}")
        if wanted is not None:
            headers.set(f"access-control-allow-{answer}", wanted)
    response = Response(200, headers)
    open_to_all(request, response)
    return response


def open_to_all(request: Request, response: Response) -> None:
    if "origin" in request.headers:
        response.headers.set("access-control-allow-origin", "*")
        response.headers.set("access-control-expose-headers", EXPOSED)
