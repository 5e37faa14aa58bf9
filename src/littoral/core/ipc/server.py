"""The Unix socket that components connect to, as AWS's nucleus has one.

The way of one call: the first message of a connection brings the token that the component's process was started with
(SVCUID); a stream then names an operation, which answers once, and with events after that where it is a subscription.
An operation that is not here is told so by the model's ServiceError. One slow reader is cut off when ``MOST_WAITING``
bytes wait for it; nobody else notices.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import cast

from littoral.core.ipc.calls import Call, Document, Fault, Handler
from littoral.core.ipc.errors import modelled
from littoral.core.ipc.ports import Components
from littoral.protocols.eventstreamrpc import Closed, Connect, Event, Request, ServerConnection

log = logging.getLogger(__name__)

MODEL = "aws.greengrass#"
MOST_WAITING = 16 * 1024 * 1024  # bytes that a component has not read
MOST_CONNECTIONS = 1000
SHOWN = 0o666  # of a socket that functions are shown


class IpcServer:
    """``start`` listens on ``path``, which only the core's own user may connect to; ``close`` ends all connections.
    In the folder ``shown`` it listens as well, for functions, which run as another user: who sees it is the folder's
    affair."""

    def __init__(
        self, path: Path, components: Components, operations: Mapping[str, Handler], shown: Path | None = None
    ) -> None:
        self.path = path
        self._paths = {path: 0o600, **({shown / path.name: SHOWN} if shown is not None else {})}
        self.components = components
        self.operations = operations
        self.sessions: set[_Session] = set()
        self._servers: list[asyncio.AbstractServer] = []

    async def start(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        for path, mode in self._paths.items():
            path.unlink(missing_ok=True)
            self._servers.append(await loop.create_unix_server(lambda: _Session(self), str(path)))
            path.chmod(mode)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.end()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def forget(self, component: str) -> None:
        """End what this component has open: its process is gone."""
        for session in [each for each in self.sessions if each.component == component]:
            session.end()


class _Session(asyncio.Protocol):
    def __init__(self, server: IpcServer) -> None:
        self.component = ""
        self._server = server
        self._rpc = ServerConnection()
        self._transport: asyncio.WriteTransport | None = None
        self._calls: dict[int, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class
        if len(self._server.sessions) >= MOST_CONNECTIONS:
            self._transport.abort()
        self._server.sessions.add(self)

    def connection_lost(self, _problem: Exception | None) -> None:
        self._transport = None
        self._server.sessions.discard(self)
        for task in self._tasks:
            task.cancel()
        for stream in list(self._calls):
            self._over(stream)

    def data_received(self, data: bytes) -> None:
        for event in self._rpc.receive(data):
            self._take(event)
        self._flush()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------------------------------------------ calls

    def _take(self, event: Event) -> None:
        if isinstance(event, Connect):
            self._enter(event)
        elif isinstance(event, Request):
            self._begin(event)
        elif isinstance(event, Closed):
            self._over(event.stream)

    def _enter(self, event: Connect) -> None:
        try:
            token = json.loads(event.payload)["authToken"]
        except (ValueError, KeyError, TypeError):
            token = None
        found = self._server.components.of_token(token) if isinstance(token, str) else None
        if found is None:
            log.warning("a process without a component's token was refused")
            self._rpc.refuse()
            return
        self.component = found
        self._rpc.accept()

    def _begin(self, request: Request) -> None:
        stream, name = request.stream, request.operation.removeprefix(MODEL)
        call = Call(self.component, name, {}, lambda shape, event: self._event(stream, shape, event))
        self._calls[stream] = call
        task = asyncio.ensure_future(self._serve(call, stream, request.payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, call: Call, stream: int, payload: bytes) -> None:
        if stream not in self._calls:  # closed before we came to it
            return
        try:
            response = await self._answered(call, payload)
        except Fault as fault:
            told = modelled(call.operation, fault)
            self._rpc.error(stream, MODEL + told.code, told.document)
            self._over(stream)
        else:
            self._rpc.message(stream, f"{MODEL}{call.operation}Response", response, last=not call.ended)
            if not call.ended:
                self._over(stream)
        self._flush()

    async def _answered(self, call: Call, payload: bytes) -> Document:
        """Raises Fault."""
        handler = self._server.operations.get(call.operation)
        if handler is None:
            raise Fault("ServiceError", f"{call.operation} is not served by this core")
        try:
            document = json.loads(payload or b"{}")
        except ValueError as problem:
            raise Fault("InvalidArgumentsError", f"the request is not JSON: {problem}") from problem
        if not isinstance(document, dict):
            raise Fault("InvalidArgumentsError", "the request is not an object")
        call.document = document
        try:
            answered = handler(call)
            return await answered if isinstance(answered, Awaitable) else answered
        except Fault:
            raise
        except Exception as problem:
            log.exception("%s of %s failed by our own fault", call.operation, call.component)
            raise Fault("ServiceError", f"internal error: {problem!r}") from problem

    def _event(self, stream: int, shape: str, event: Document) -> None:
        if stream in self._calls:
            self._rpc.message(stream, MODEL + shape, event)
            self._flush()

    def _over(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        for done in call.ended if call is not None else ():
            done()

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._rpc.outgoing:
            return
        transport.write(bytes(self._rpc.outgoing))
        self._rpc.outgoing.clear()
        if self._rpc.broken:
            transport.close()
        elif transport.get_write_buffer_size() > MOST_WAITING:
            log.warning("%s does not read what it asked for: its connection is ended", self.component)
            transport.abort()
