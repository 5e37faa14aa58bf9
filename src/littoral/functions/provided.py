"""An instance that runs a ``bootstrap`` of its own and asks for events over HTTP: the ``provided`` runtimes.

Owns: one loopback listener per instance, and who may talk to it: only processes of that instance, told by the owner of
the socket at the other end (``/proc``), for every function of a place can reach every port of its loopback. What may be
asked when is decided in ``runtimeapi``; the process, its log and its end are ``Instance``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from littoral.functions import runtimeapi
from littoral.functions.held import descendants
from littoral.functions.instance import LAST_WORDS, InitFailed, Instance
from littoral.functions.outcome import Outcome
from littoral.functions.peer import holds
from littoral.functions.runtimeapi import Event, Reply, RuntimeApi, Wanted
from littoral.net.incoming import IncomingBody
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import BodyError, BodyTooLarge, Headers, Request, Response

log = logging.getLogger(__name__)

OWN_PORT = 9001
TOO_LARGE_ERROR = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({runtimeapi.MAX_RESPONSE} bytes).",
}


class ProvidedInstance(Instance):
    """Made by ``Launcher``: ``listen``, then the process is started with ``address`` in its environment."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self._api = RuntimeApi()
        self._moved = asyncio.Event()  # an event was offered, or asked for anew
        self._question = 0
        self._has_room = asyncio.Event()  # a streamed response may go on
        self._listener: HttpListener | None = None
        self._known: set[int] = set()  # ports of connections that are this instance's
        self._started = asyncio.Event()  # its process id is known
        self._closing: asyncio.Task[None] | None = None
        self._adopting: asyncio.Task[None] | None = None
        self._alone = False  # in a network of its own: whoever connects is the instance

    async def listen(self) -> None:
        self._listener = await listen_http(self._handle)

    @property
    def address(self) -> str:
        """Where the program finds its Runtime API; Lambda's own port where the instance has a network to itself."""
        return f"127.0.0.1:{self._listener.port if self._listener is not None else OWN_PORT}"

    def listening(self, listener: socket.socket) -> None:
        if not self.alive:
            listener.close()
            return
        self._alone = True
        self._adopting = asyncio.get_running_loop().create_task(self._adopt(listener))

    async def _adopt(self, listener: socket.socket) -> None:
        self._listener = await listen_http(self._handle, sock=listener)
        if not self.alive:
            self._close()

    def refuse_init(self, kind: str, message: str) -> None:
        """There is nothing to start."""
        self.alive = False
        self._ready.set_exception(InitFailed(json.dumps({"errorType": kind, "errorMessage": message}).encode()))
        self._ready.exception()

    def send_event(self, request_id: str, timeout: float, arn: str, context: bytes, trace: str, payload: bytes) -> None:
        now = self.clock()
        trace = trace or f"Root=1-{int(now):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        self._api.offer(Event(request_id, int((now + timeout) * 1000), arn, context, trace, payload))
        self._moved.set()

    def started(self, pid: int) -> None:
        super().started(pid)
        self._started.set()

    # What ends the frames' socket ends nothing here: a bootstrap may well close descriptors that it does not know.

    def eof_received(self) -> bool:
        self._eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._eof = True

    def _close(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._closing = asyncio.get_running_loop().create_task(listener.close(0.0))
        super()._close()

    # ------------------------------------------------------------------------------------ the HTTP side

    async def _handle(self, request: Request) -> Response:
        if not await self._is_ours(request):
            return _response(runtimeapi.refusal(403, "Forbidden", "This API is another process's."))
        wanted = runtimeapi.recognise(request.method, request.raw_path)
        if isinstance(wanted, Reply):
            return _response(wanted)
        if wanted.action == "next":
            return await self._next()
        return _response(await self._settle(wanted, request))

    async def _is_ours(self, request: Request) -> bool:
        port = request.peer.port
        if self._alone or port in self._known:
            return True
        await self._started.wait()
        listener = self._listener
        if self.pid is None or listener is None:
            return False
        ours = holds([self.pid], port, listener.port)
        if not ours and self._process is not None:  # something that it started, maybe one of a thousand
            family = await asyncio.to_thread(descendants, self._process)
            ours = await asyncio.to_thread(holds, family, port, listener.port)
        if ours:
            self._known.add(port)
        return ours

    async def _next(self) -> Response:
        problem = self._api.ask()
        if problem is not None:
            return _response(problem)
        if not self._ready.done():
            self._ready.set_result(None)
        self._question += 1
        mine = self._question
        self._moved.set()  # an older question is answered: it is not the one that counts any more
        while mine == self._question:
            event = self._api.hand_out()
            if event is not None:
                self._began = time.perf_counter()
                return Response(200, Headers.of(event.headers()), event.payload)
            self._moved.clear()
            await self._moved.wait()
        return _response(runtimeapi.refusal(403, "InvalidStateTransition", "The next event was asked for again"))

    async def _settle(self, wanted: Wanted, request: Request) -> Reply:
        problem = self._api.check(wanted)
        if problem is not None:
            return problem
        if wanted.action == "response" and (request.headers.get(runtimeapi.MODE) or "").lower() == "streaming":
            return await self._settle_stream(wanted, request)
        try:
            body = await request.body.read(runtimeapi.MAX_RESPONSE)
        except BodyTooLarge:
            if self._api.settle(wanted) is None:
                self._finish("error", json.dumps(TOO_LARGE_ERROR).encode())
            return runtimeapi.TOO_LARGE
        except BodyError as broken:
            return runtimeapi.refusal(400, "BodyIncomplete", str(broken))
        problem = self._api.settle(wanted)
        if problem is not None:
            return problem
        kind = request.headers.get(runtimeapi.ERROR_TYPE)
        if wanted.action == "init-error":
            self._ready.set_exception(InitFailed(runtimeapi.error_object(body, kind)))
            self._ready.exception()
        elif wanted.action == "error":
            self._finish("error", runtimeapi.error_object(body, kind))
        else:
            self._finish("ok", body)
        return runtimeapi.ACCEPTED

    async def _settle_stream(self, wanted: Wanted, request: Request) -> Reply:
        """A response in pieces; its trailers may say that it failed half way."""
        self._api.stream(wanted)
        self.begin_stream(request.headers.get("content-type") or "")
        taker, body = self._taker, request.body
        try:
            async for piece in body:
                if taker is not None and self._streams:
                    taker.feed(piece)
                    while taker.full:
                        await self._room()
        except BodyError as broken:
            self._api.end_stream()
            await asyncio.sleep(2 * LAST_WORDS)  # when the process has ended, that is what happened
            failure: bytes | None = runtimeapi.error_object(str(broken).encode(), "Runtime.TruncatedResponse")
            reply = runtimeapi.refusal(400, "BodyIncomplete", str(broken))
        else:
            trailers = body.trailers if isinstance(body, IncomingBody) else Headers()
            failure = runtimeapi.error_of_trailers(
                trailers.get(runtimeapi.ERROR_TYPE), trailers.get(runtimeapi.ERROR_BODY)
            )
            reply = runtimeapi.ACCEPTED
            self._api.end_stream()
        self._finish("ok" if failure is None else "error", failure or b"")
        return reply

    async def _room(self) -> None:
        self._has_room.clear()
        await self._has_room.wait()

    def _release(self) -> None:
        self._has_room.set()

    def _finish(self, kind: str, payload: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        self._drain()
        self._memory_kib = max(self._memory_kib, peak_kib(self.pid))
        seconds = time.perf_counter() - self._began
        ok = kind == "ok"
        outcome = Outcome("ok" if ok else "error", payload, seconds, self._memory_kib, usable=self.alive)
        waiter.set_result(self._whole(outcome) if self._streams else outcome)


def _response(reply: Reply) -> Response:
    return Response(reply.status, Headers.of(reply.headers), reply.body)


def peak_kib(pid: int | None) -> int:
    """The most that was resident (Linux); 0 when the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
