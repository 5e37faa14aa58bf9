"""Event streams: an operation's events, (name, members) each, as the bytes of a stream (REST with JSON)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from littoral.aws.wire import jsonbody
from littoral.protocols import eventstream

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

Event = tuple[str, Mapping[str, Any]]
Writer = Callable[[Mapping[str, Any]], eventstream.Message]


class EventBody:
    """``writers`` are of the stream's events by name."""

    def __init__(self, writers: Mapping[str, Writer], events: AsyncIterator[Event]) -> None:
        self._writers = writers
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        name, members = await anext(self._events)
        return eventstream.encode(self._writers[name](members))

    async def aclose(self) -> None:
        """The caller has gone, or has all."""
        aclose = getattr(self._events, "aclose", None)
        if aclose is not None:
            await aclose()


def event_writers(stream: Shape, values: jsonbody.Writers) -> dict[str, Writer]:
    return {name: _event_writer(name, shape, values) for name, shape in stream.members.items()}


def _event_writer(name: str, shape: Shape, values: jsonbody.Writers) -> Writer:
    headers = {":message-type": eventstream.text("event"), ":event-type": eventstream.text(name)}
    for key, member in shape.members.items():
        if member.serialization.get("eventpayload") and member.type_name == "blob":
            return _bytes_writer(key, headers | {":content-type": eventstream.text("application/octet-stream")})
    document = values.members(shape.members)
    headers |= {":content-type": eventstream.text("application/json")}
    return lambda members: eventstream.Message(headers, jsonbody.dump(document(members)))


def _bytes_writer(key: str, headers: Mapping[str, eventstream.Value]) -> Writer:
    return lambda members: eventstream.Message(headers, members.get(key) or b"")
