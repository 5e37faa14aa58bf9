"""What is noted of every request of a distribution with access logs: as little as can be, on the way of a hit.

A response that is answered whole costs an append. One whose body streams is watched until its end, for only then are
its bytes and its time known. What has gathered is taken away once a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from littoral.edge.accesslog.noted import Noted, Repeated
from littoral.edge.observed import Observed
from littoral.edge.told import Told
from littoral.net.message import Answer, FileSlice, Request, Response, Switching
from littoral.net.passage import Again, Passage


class Notes:
    """``all`` is what has gathered; the owner takes it away. ``full`` is called when it is much."""

    MANY = 20_000

    def __init__(self, clock: Callable[[], float], full: Callable[[], None]) -> None:
        self.all: list[Noted] = []
        self._clock = clock
        self._full = full

    def of(self, request: Request, answer: Answer | Awaitable[Answer]) -> Answer | Awaitable[Answer]:
        """The same answer, noted."""
        if isinstance(answer, Response):
            return self._noted(request, answer)
        if isinstance(answer, Awaitable):
            return self.later(request, answer)
        if isinstance(answer, Observed):
            answer.noting = self
            return answer
        return self._tunnel(request, answer) if isinstance(answer, Switching) else answer

    def again(self, request: Request, answer: Response, give: Again) -> Again:
        """``Response.again``, each time noted."""
        same, status, told = replace(request, received_at=0.0), answer.status, answer.note
        last: Repeated | None = None

        def give_and_note() -> bytes | Passage | None:
            nonlocal last
            whole = give()
            if isinstance(whole, bytes):
                if last is None or not (
                    last.book is self.all and len(whole) == last.length and whole.startswith(last.before)
                ):
                    last = Repeated(self.all, same, status, whole, told)
                last.moments.append(self._clock())
                last.identifiers.append(whole[last.start : last.end])
            return whole

        return give_and_note

    def passed(self, request: Request, status: int, head: bytes, size: int, whole: bool, told: Told) -> None:
        """Of a relayed one, at its end."""
        ended = self._clock()
        first = ended - max(0.0, told.last - told.first)
        self.all.append((ended, first, request, status, head, size, whole, told))
        if len(self.all) >= self.MANY:
            self._full()

    async def later(self, request: Request, answer: Awaitable[Answer]) -> Answer:
        found = await answer
        if isinstance(found, Observed):
            found.noting = self
            return found
        if isinstance(found, Switching):
            return self._tunnel(request, found)
        return self._noted(request, found) if isinstance(found, Response) else found

    def _tunnel(self, request: Request, answer: Switching) -> Switching:
        """A WebSocket is noted when it is closed, with what went both ways."""
        first, head = self._clock(), answer.headers.raw

        def ended(received: int, sent: int) -> None:
            told = Told(received=received)
            self.all.append((self._clock(), first, request, 101, head, sent, True, told))

        answer.on_end = ended
        return answer

    def _noted(self, request: Request, response: Response) -> Response:
        body, now = response.body, self._clock()
        if isinstance(body, bytes):
            size = len(body)
        elif isinstance(body, FileSlice):
            size = body.length
        else:
            response.body = Watched(body, self, request, response, now)
            return response
        self.note(now, now, request, response, size, True)
        return response

    def note(self, ended: float, first: float, request: Request, response: Response, size: int, whole: bool) -> None:
        head = response.prepared or response.headers.raw
        self.all.append((ended, first, request, response.status, head, size, whole, response.note))
        if len(self.all) >= self.MANY:
            self._full()

    def now(self) -> float:
        return self._clock()


class Watched:
    """A streamed body, counted."""

    def __init__(
        self, body: AsyncIterator[bytes], notes: Notes, request: Request, response: Response, first: float
    ) -> None:
        self._body = body
        self._iterator = body.__aiter__()
        self._notes = notes
        self._about = request, response
        self._first = first
        self._sent = 0
        self._begun = self._done = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._begun = True
        try:
            chunk = await self._iterator.__anext__()
        except StopAsyncIteration:
            self._end(True)
            raise
        self._sent += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Also when nobody asked for the body (HEAD), and when the viewer has gone."""
        self._end(not self._begun)
        close = getattr(self._iterator, "aclose", None) or getattr(self._body, "aclose", None)
        if close is not None:
            await close()

    def _end(self, whole: bool) -> None:
        if not self._done:
            self._done = True
            self._notes.note(self._notes.now(), self._first, *self._about, self._sent, whole)
