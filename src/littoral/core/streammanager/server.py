"""The TCP port that the stream manager's SDKs connect to, on loopback.

The way of one request: a frame, its CBOR map, the operation's method, and its response with the request's id and a
status. Who connects shows its component's token (AWS_CONTAINER_AUTHORIZATION_TOKEN), unless the deployment says that
nobody need. Requests of one connection begin in their order; a reader that waits holds nobody else up.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import cbor2

from littoral import __version__
from littoral.core.streammanager.streams import MessageStreams
from littoral.protocols.streammanager.definition import definition_of, read_options_of
from littoral.protocols.streammanager.wire import (
    CONNECT_VERSION,
    VERSIONS,
    BadFrame,
    Frames,
    Operation,
    Refused,
    Status,
    frame,
    name_of,
    version_of,
)
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
MOST_CONNECTIONS = 1000
MOST_AT_ONCE = 256  # requests of a connection; then it is not read until some are answered
Admits = Callable[[object], bool]
"""Whether who shows this token (of any type, as it came) may connect."""

Answer = Mapping[str, Any]
Serve = Callable[[MessageStreams, Mapping[str, Any]], Awaitable[Answer]]


class StreamServer:
    def __init__(self, streams: MessageStreams, admits: Admits) -> None:
        self.streams = streams
        self.admits = admits
        self.sessions: set[_Session] = set()
        self._server: asyncio.AbstractServer | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """0 takes a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), HOST, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in list(self.sessions):
            session.end()


class _Session(asyncio.Protocol):
    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._connected = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._server.sessions.add(self)
        if len(self._server.sessions) > MOST_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._server.sessions.discard(self)
        for task in self._tasks:
            task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for number, payload in self._frames.receive(data):
                self._take(number, payload)
        except BadFrame as problem:
            log.warning("a client of the stream manager is cut off: %s", problem)
            self.end()

    def _take(self, number: int, payload: bytes) -> None:
        """Raises BadFrame."""
        given = _map_of(payload)
        if not self._connected:
            self._connect(number, given)
            return
        task = asyncio.ensure_future(self._serve(number, given))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if len(self._tasks) == MOST_AT_ONCE and self._transport is not None:
            self._transport.pause_reading()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if len(self._tasks) == MOST_AT_ONCE - 1 and self._transport is not None:
            self._transport.resume_reading()

    def _connect(self, number: int, given: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"supportedProtocolVersions": list(VERSIONS), "serverVersion": __version__}
        try:
            if self._frames.connect_version != CONNECT_VERSION:
                raise Refused(Status.UNSUPPORTED_CONNECT_VERSION, f"the connect version must be {CONNECT_VERSION}")
            if number != Operation.CONNECT:
                raise Refused(Status.UNEXPECTED_OPERATION, "the first request must be Connect")
            version = version_of(given.get("protocolVersion"), given.get("otherSupportedProtocolVersions"))
            if not self._server.admits(given.get("authToken")):
                log.warning("a process without a component's token was refused by the stream manager")
                raise Refused(Status.UNAUTHORIZED, "the authToken is not of a component of this core")
            answer |= {"protocolVersion": version, "clientIdentifier": secrets.token_hex(8)}
            self._connected = True
        except Refused as refused:
            answer |= {"errorMessage": str(refused)}
            answer["status"] = int(refused.status)
        self._write(bytes((CONNECT_VERSION,)))
        self._answer(Operation.CONNECT_RESPONSE, given, answer)
        if not self._connected:
            self.end()

    async def _serve(self, number: int, given: Mapping[str, Any]) -> None:
        await self._writable.wait()
        serve, operation = OPERATIONS.get(number, (_unknown, Operation.UNKNOWN_OPERATION_ERROR))
        try:
            answer = await serve(self._server.streams, given)
        except Refused as refused:
            answer = {"status": int(refused.status), "errorMessage": str(refused)}
        except StoreError as problem:
            read = number == Operation.READ_MESSAGES
            status = Status.MESSAGE_STORE_READ_ERROR if read else Status.UNKNOWN_FAILURE
            answer = {"status": int(status), "errorMessage": f"the stream cannot be kept or read: {problem}"}
        except Exception as problem:
            log.exception("request %d to the stream manager failed by our own fault", number)
            answer = {"status": int(Status.UNKNOWN_FAILURE), "errorMessage": f"internal error: {problem!r}"}
        self._answer(operation, given, answer)

    def _answer(self, operation: Operation, given: Mapping[str, Any], answer: Answer) -> None:
        document = {"requestId": given.get("requestId"), "status": int(Status.SUCCESS), **answer}
        self._write(frame(operation, cbor2.dumps(document)))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _map_of(payload: bytes) -> Mapping[str, Any]:
    """Raises BadFrame."""
    try:
        found = cbor2.CBORDecoder(io.BytesIO(payload)).decode()
    except (ValueError, RecursionError, cbor2.CBORError) as problem:
        raise BadFrame(f"not CBOR: {problem}") from problem
    if not isinstance(found, dict) or not isinstance(found.get("requestId"), str):
        raise BadFrame("a request without a requestId")
    return found


# ------------------------------------------------------------------------------------------------ operations


async def _create(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    await streams.create(definition_of(given.get("definition")))
    return {}


async def _update(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    await streams.update(definition_of(given.get("definition")))
    return {}


async def _delete(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    await streams.delete(name_of(given.get("name"), "name"))
    return {}


async def _list(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    return {"streams": sorted(streams.all)}


async def _describe(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    return {"messageStreamInfo": await streams.describe(name_of(given.get("name"), "name"))}


async def _append(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    name, payload = name_of(given.get("name"), "name"), given.get("payload")
    if not isinstance(payload, bytes) or not payload:
        raise Refused(Status.INVALID_REQUEST, "payload must be bytes, and not empty")
    return {"sequenceNumber": await streams.append(name, payload)}


async def _read(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    name = name_of(given.get("streamName"), "streamName")
    found = await streams.read(name, read_options_of(given.get("readMessagesOptions")))
    return {
        "messages": [
            {
                "streamName": name,
                "sequenceNumber": each.sequence,
                "ingestTime": int(each.at * 1000),
                "payload": each.payload,
            }
            for each in found
        ]
    }


async def _unknown(streams: MessageStreams, given: Mapping[str, Any]) -> Answer:
    raise Refused(Status.UNKNOWN_OPERATION, "there is no such operation")


OPERATIONS: Mapping[int, tuple[Serve, Operation]] = {
    Operation.CREATE_MESSAGE_STREAM: (_create, Operation.CREATE_MESSAGE_STREAM_RESPONSE),
    Operation.UPDATE_MESSAGE_STREAM: (_update, Operation.UPDATE_MESSAGE_STREAM_RESPONSE),
    Operation.DELETE_MESSAGE_STREAM: (_delete, Operation.DELETE_MESSAGE_STREAM_RESPONSE),
    Operation.LIST_STREAMS: (_list, Operation.LIST_STREAMS_RESPONSE),
    Operation.DESCRIBE_MESSAGE_STREAM: (_describe, Operation.DESCRIBE_MESSAGE_STREAM_RESPONSE),
    Operation.APPEND_MESSAGE: (_append, Operation.APPEND_MESSAGE_RESPONSE),
    Operation.READ_MESSAGES: (_read, Operation.READ_MESSAGES_RESPONSE),
}
