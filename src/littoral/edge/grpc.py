"""gRPC through the edge: which requests are calls, and what of their heads always goes along.

CloudFront developer guide, "Using gRPC with CloudFront distributions": a behaviour with GrpcConfig takes a POST with
the content type of gRPC over HTTP/2; other requests to it are ordinary ones. A call is never cached, and its status is
a trailer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from littoral.edge.plan import Behaviour
from littoral.net.message import Headers, Request


def is_call(behaviour: Behaviour, viewer: Request) -> bool:
    if not behaviour.grpc or viewer.method != "POST" or viewer.peer.http_version is None:
        return False
    kind = (viewer.headers.get("content-type") or "").lower()
    return viewer.peer.http_version != "1.1" and (
        kind == "application/grpc" or kind.startswith(("application/grpc+", "application/grpc;"))
    )


def headers(of: Headers) -> list[tuple[str, str]]:
    """What the protocol itself says: encodings and the deadline. Metadata follow the behaviour's policies."""
    return [(name, value) for name, value in of.items() if name.startswith("grpc-")]


class StatusOnly:
    """The body of a call that ended before it began: its server said the status in the head ("Trailers-Only"), which
    HTTP/2 marks by a head that ends the stream. Over HTTP/1.1 to the front nothing marks it, so it is said anew: a
    head, no message, and the status as the trailers that it stands for."""

    def __init__(self, said: Headers) -> None:
        kept = (b"content-type", b"date", b"server")
        self.head = Headers([pair for pair in said.raw if pair[0] in kept])
        self.trailers = Headers([pair for pair in said.raw if pair[0] not in (*kept, b"content-length")])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration
