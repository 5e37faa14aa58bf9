"""Bodies that pass through an edge location unread, and what follows them: trailers of both directions.

Trailers are end to end (RFC 9110 s. 6.5), so they go along, but for two kinds: what RFC 9110 forbids (dropped where
they are written, ``protocols.http1.last_chunk``), and here what an edge says itself: an origin that merges trailers
into headers must not hear from a viewer who the viewer is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from littoral.edge.told import Told
from littoral.net.client import ClientResponse
from littoral.net.incoming import IncomingBody
from littoral.net.message import Body, Headers

OWN = (b"via", b"forwarded", b"x-forwarded-", b"x-real-ip", b"x-amz-", b"x-amzn-", b"cloudfront-", b"littoral-")


class Passing:
    """A response's body on its way to the viewer."""

    def __init__(self, response: ClientResponse, told: Told | None = None) -> None:
        self._response = response
        self._told = told
        self._chunks = aiter(response.body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            if self._told is not None:
                self._told.ended()
            raise

    def at_hand(self, size: int) -> bytes | None:
        """All of its ``size`` bytes, where the origin has sent them with its head; else None."""
        body = self._response.body
        data = body.at_hand(size) if isinstance(body, IncomingBody) else None
        if data is not None and self._told is not None:
            self._told.ended()
        return data

    async def aclose(self) -> None:
        self._response.release()

    @property
    def trailers(self) -> Headers | None:
        return getattr(self._response.body, "trailers", None)


class Uploading:
    """A viewer's body on its way to the origin."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def read(self, limit: int | None = None) -> bytes:
        return await self._body.read(limit)

    @property
    def trailers(self) -> Headers:
        sent: Headers | None = getattr(self._body, "trailers", None)
        return Headers([pair for pair in (sent.raw if sent is not None else ()) if not pair[0].startswith(OWN)])
