"""What was found for a request, on its way to the viewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from littoral.edge.bodies import Passing
from littoral.edge.entry import Entry
from littoral.edge.filling import Filling
from littoral.edge.told import Told
from littoral.net.client import ClientResponse
from littoral.net.message import Headers, ResponseBody


@dataclass(slots=True)
class Outcome:
    """What was found: a stored entry, a body that is being stored, or a response that passes through."""

    status: int
    label: str
    entry: Entry | None = None
    headers: Headers = field(default_factory=Headers)
    filling: Filling | None = None
    passing: ClientResponse | None = None
    content: bytes = b""
    storing: asyncio.Task[Entry] | None = None
    vary: tuple[str, ...] = ()  # request headers that chose it, beside those of the key
    stream: AsyncIterator[bytes] | None = None  # of what is put together from several entries
    stored: bool = False  # such entries stay in the cache
    detail: str = ""  # more than the label says of the result (``told``)
    told: Told | None = None  # of the request that asked the origin

    def body(self) -> ResponseBody:
        if self.filling is not None:
            return self.filling.follow()
        if self.passing is not None:
            return Passing(self.passing, self.told)
        if self.stream is not None:
            return self.stream
        return self.content

    async def whole(self) -> Entry:
        """The entry, once it is stored."""
        assert self.storing is not None
        return await asyncio.shield(self.storing)

    def release(self) -> None:
        """The response will not be sent."""
        if self.passing is not None:
            self.passing.release()

    @property
    def private(self) -> bool:
        return self.entry is None and self.filling is None and not self.stored
