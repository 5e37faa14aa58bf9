"""The server's side of AWS's event-stream RPC, which Greengrass components speak to their nucleus. Sans-IO.

Messages are those of ``eventstream``. Each has ``:message-type``, ``:message-flags`` and ``:stream-id`` as 32-bit
integers. Stream 0 is the connection's own: CONNECT with a version and a token in its payload, CONNECT_ACK, pings,
protocol errors. Every other stream is one operation: the first message names it and holds the request; what follows
are its events, in both directions, until one message has TERMINATE_STREAM. Streams count upwards from 1.
Source: the public C library aws-c-event-stream, ``event_stream_rpc.h``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from littoral.protocols.eventstream import BadMessage, Decoder, Kind, Message, Value, encode, text

VERSION = "0.1.0"
JSON = "application/json"
MOST_STREAMS = 1024  # open at a time on one connection


class MessageType(IntEnum):
    APPLICATION_MESSAGE = 0
    APPLICATION_ERROR = 1
    PING = 2
    PING_RESPONSE = 3
    CONNECT = 4
    CONNECT_ACK = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


class Flag(IntFlag):
    NONE = 0
    CONNECTION_ACCEPTED = 1
    TERMINATE_STREAM = 2


@dataclass(frozen=True, slots=True)
class Connect:
    """A client is there; answer with ``accept`` or ``refuse``."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An operation begins on this stream."""

    stream: int
    operation: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The client has ended this stream."""

    stream: int


Event = Connect | Request | Closed


class ServerConnection:
    """One client. ``receive`` takes bytes; what is to be sent gathers in ``outgoing``, which the caller sends and
    clears. When ``broken`` is set the connection is to be closed once that was sent."""

    def __init__(self) -> None:
        self.outgoing = bytearray()
        self.broken = False
        self._decoder = Decoder()
        self._connected: bool | None = None  # None before CONNECT
        self._open: set[int] = set()
        self._last = 0

    def receive(self, data: bytes) -> list[Event]:
        """What the client did. Never raises: an error is told to the client, and breaks the connection."""
        found: list[Event] = []
        if self.broken:
            return found
        try:
            for message in self._decoder.feed(data):
                event = self._event(message)
                if event is not None:
                    found.append(event)
        except BadMessage as problem:
            self._break(str(problem))
        return found

    def accept(self) -> None:
        self._connected = True
        self._send(0, MessageType.CONNECT_ACK, flags=Flag.CONNECTION_ACCEPTED)

    def refuse(self) -> None:
        """The client is told, and the connection is over."""
        self._send(0, MessageType.CONNECT_ACK)
        self.broken = True

    def message(self, stream: int, model: str, document: Mapping[str, Any], *, last: bool = False) -> None:
        """A response, or an event after it. Nothing is sent on a stream that is closed."""
        self._answer(stream, MessageType.APPLICATION_MESSAGE, model, document, last=last)

    def error(self, stream: int, model: str, document: Mapping[str, Any]) -> None:
        """The operation failed; its stream is closed."""
        self._answer(stream, MessageType.APPLICATION_ERROR, model, document, last=True)

    # ------------------------------------------------------------------------------------------ what comes

    def _event(self, message: Message) -> Event | None:
        """Raises BadMessage."""
        kind, flags, stream = (_integer(message, name) for name in (":message-type", ":message-flags", ":stream-id"))
        if stream == 0:
            return self._of_connection(kind, message)
        if not self._connected:
            raise BadMessage("no stream may begin before the connection is accepted")
        if kind not in (MessageType.APPLICATION_MESSAGE, MessageType.APPLICATION_ERROR):
            raise BadMessage(f"messages of type {kind} have no stream")
        ends = bool(flags & Flag.TERMINATE_STREAM)
        if stream in self._open:
            if ends:
                self._open.discard(stream)
                return Closed(stream)
            raise BadMessage("no operation takes events from its client")
        if stream <= self._last:  # closed by us, while this was on its way
            return None
        return self._begin(stream, message, ends)

    def _begin(self, stream: int, message: Message, ends: bool) -> Request:
        operation = message.text("operation")
        if operation is None:
            raise BadMessage("the first message of a stream names its operation")
        if len(self._open) >= MOST_STREAMS:
            raise BadMessage(f"more than {MOST_STREAMS} streams")
        self._last = stream
        if not ends:
            self._open.add(stream)
        return Request(stream, operation, message.payload)

    def _of_connection(self, kind: int, message: Message) -> Connect | None:
        if kind == MessageType.CONNECT:
            if self._connected is not None:
                raise BadMessage("a second CONNECT")
            if message.text(":version") != VERSION:
                raise BadMessage(f"this server speaks version {VERSION}")
            self._connected = False
            return Connect(message.payload)
        if not self._connected:
            raise BadMessage("the first message is CONNECT")
        if kind == MessageType.PING:
            self._send(0, MessageType.PING_RESPONSE, payload=message.payload)
        elif kind in (MessageType.PROTOCOL_ERROR, MessageType.INTERNAL_ERROR):
            self.broken = True
        elif kind != MessageType.PING_RESPONSE:
            raise BadMessage(f"a message of type {kind} does not belong to the connection")
        return None

    # ------------------------------------------------------------------------------------------ what goes

    def _answer(self, stream: int, kind: MessageType, model: str, document: Mapping[str, Any], *, last: bool) -> None:
        if stream not in self._open:
            return
        if last:
            self._open.discard(stream)
        headers = {":content-type": text(JSON), "service-model-type": text(model)}
        flags = Flag.TERMINATE_STREAM if last else Flag.NONE
        self._send(stream, kind, headers=headers, flags=flags, payload=json.dumps(document).encode())

    def _send(
        self,
        stream: int,
        kind: MessageType,
        *,
        headers: Mapping[str, Value] | None = None,
        flags: Flag = Flag.NONE,
        payload: bytes = b"",
    ) -> None:
        framing: dict[str, int] = {":message-type": kind, ":message-flags": flags, ":stream-id": stream}
        numbers = {name: Value(Kind.INT, value) for name, value in framing.items()}
        self.outgoing += encode(Message({**numbers, **(headers or {})}, payload))

    def _break(self, reason: str) -> None:
        payload = json.dumps({"message": reason}).encode()
        self._send(0, MessageType.PROTOCOL_ERROR, headers={":content-type": text(JSON)}, payload=payload)
        self.broken = True


def _integer(message: Message, name: str) -> int:
    found = message.headers.get(name)
    if found is None or found.kind is not Kind.INT or not isinstance(found.value, int):
        raise BadMessage(f"a message without {name}")
    return found.value
