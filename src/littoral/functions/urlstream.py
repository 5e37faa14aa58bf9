"""A streamed response as the answer of a function URL: the prelude becomes its head, the pieces its body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from littoral.functions.streaming import ResponseStream
from littoral.functions.urlevent import INTEGRATION, PRELUDE_END, BadAnswer, prelude_of
from littoral.net.message import Headers, Response
from littoral.net.sending import Broken

MAX_PRELUDE = 64 * 1024  # bytes


class StreamBody:
    """The body: what came with the prelude, then the rest as it is made. An error half way is Broken, which closes the
    connection: the head has gone, and only so can the caller tell."""

    def __init__(self, stream: ResponseStream, first: bytes = b"") -> None:
        self._stream = stream
        self._first = first

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, b""
        if first:
            return first
        try:
            return await anext(self._stream)
        except StopAsyncIteration:
            result = self._stream.result
            if result is not None and result.function_error is not None:
                raise Broken("the function failed half way") from None
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()


async def streamed(stream: ResponseStream) -> Response:
    """The response, once the function has said how it begins. Raises BadAnswer when it fails before or says what is no
    response; it is then not read any further."""
    try:
        return await _begin(stream)
    except BaseException:
        await stream.aclose()
        raise


async def _begin(stream: ResponseStream) -> Response:
    await stream.begun()
    if not stream.content_type:
        raise BadAnswer("the function failed before it answered")
    if stream.content_type != INTEGRATION:
        return Response(200, Headers.of([("content-type", stream.content_type)]), StreamBody(stream))
    head = b""
    async for piece in stream:
        head += piece
        if PRELUDE_END in head or len(head) > MAX_PRELUDE:
            break
    prelude, end, first = head.partition(PRELUDE_END)
    if not end:
        raise BadAnswer(f"no prelude in the first {len(head)} bytes")
    response = prelude_of(prelude)
    response.body = StreamBody(stream, first)
    return response
