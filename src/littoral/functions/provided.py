"""An instance that runs a ``bootstrap`` of its own and asks for events over HTTP: the ``provided`` runtimes.

Owns: the Runtime API's way from a request to an answer. What may be asked when is decided in ``runtimeapi``; who may
ask is ``ListeningInstance``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from littoral.functions import runtimeapi
from littoral.functions.extensionsapi import ExtensionsApi
from littoral.functions.instance import LAST_WORDS
from littoral.functions.listening import ListeningInstance, response_of
from littoral.functions.outcome import Outcome
from littoral.functions.payload import MAX_RESPONSE
from littoral.functions.runtimeapi import Event, Reply, RuntimeApi, Wanted
from littoral.functions.streaming import too_large
from littoral.functions.turn import InitFailed, Turn
from littoral.net.incoming import IncomingBody
from littoral.net.message import BodyError, BodyTooLarge, Headers, Request, Response

log = logging.getLogger(__name__)


class ProvidedInstance(ListeningInstance):
    """Made by ``Launcher``: ``listen``, then the process is started with ``address`` in its environment."""

    def __init__(self, *, clock: Callable[[], float], extensions: ExtensionsApi) -> None:
        super().__init__(clock=clock, extensions=extensions)
        self._api = RuntimeApi()
        self._question = 0
        self._has_room = asyncio.Event()  # a streamed response may go on

    def hand_event(self, turn: Turn, kind: bytes) -> None:
        deadline = int((self.clock() + turn.timeout) * 1000)
        self._api.offer(Event(turn.request_id, deadline, turn.arn, turn.context, turn.trace, turn.payload))
        self._moved_on()

    # What ends the frames' socket ends nothing here: a bootstrap may well close descriptors that it does not know.

    def eof_received(self) -> bool:
        self._eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._eof = True

    # ------------------------------------------------------------------------------------ the HTTP side

    async def answer_runtime(self, request: Request) -> Response:
        wanted = runtimeapi.recognise(request.method, request.raw_path)
        if isinstance(wanted, Reply):
            return response_of(wanted)
        if wanted.action == "next":
            return await self._next()
        return response_of(await self._settle(wanted, request))

    async def _next(self) -> Response:
        problem = self._api.ask()
        if problem is not None:
            return response_of(problem)
        if not self._ready.done():
            self._ready.set_result(None)
        self._question += 1
        mine = self._question
        self._moved_on()  # an older question is answered: it is not the one that counts any more
        while mine == self._question:
            event = self._api.hand_out()
            if event is not None:
                self._began = time.perf_counter()
                return Response(200, Headers.of(event.headers()), event.payload)
            await self._next_move()
        return response_of(runtimeapi.refusal(403, "InvalidStateTransition", "The next event was asked for again"))

    async def _settle(self, wanted: Wanted, request: Request) -> Reply:
        problem = self._api.check(wanted)
        if problem is not None:
            return problem
        if wanted.action == "response" and (request.headers.get(runtimeapi.MODE) or "").lower() == "streaming":
            return await self._settle_stream(wanted, request)
        try:
            body = await request.body.read(MAX_RESPONSE)
        except BodyTooLarge:
            if self._api.settle(wanted) is None:
                self._finish("error", too_large(MAX_RESPONSE))
            return runtimeapi.TOO_LARGE
        except BodyError as broken:
            return runtimeapi.refusal(400, "BodyIncomplete", str(broken))
        problem = self._api.settle(wanted)
        if problem is not None:
            return problem
        kind = request.headers.get(runtimeapi.ERROR_TYPE)
        if wanted.action == "init-error":
            self._fail_init(InitFailed(runtimeapi.error_object(body, kind)))
        elif wanted.action == "error":
            self._finish("error", runtimeapi.error_object(body, kind))
        else:
            self._finish("ok", body)
        return runtimeapi.ACCEPTED

    async def _settle_stream(self, wanted: Wanted, request: Request) -> Reply:
        """A response in pieces; its trailers may say that it failed half way."""
        self._api.stream(wanted)
        pieces, body = self.pieces, request.body
        if self.line:
            pieces.begin(self.line[0].taker, request.headers.get("content-type") or "")
        taker = pieces.taker
        try:
            async for piece in body:
                if taker is not None and pieces.taker is taker:
                    taker.feed(piece)
                    while taker.full:
                        await self._has_no_room()
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

    async def _has_no_room(self) -> None:
        self._has_room.clear()
        await self._has_room.wait()

    def _release(self) -> None:
        self._has_room.set()

    def _finish(self, kind: str, payload: bytes) -> None:
        if not self.line:
            return
        self.log.drain()
        self._memory_kib = max(self._memory_kib, peak_kib(self.process.pid))
        seconds = time.perf_counter() - self._began
        ok = kind == "ok"
        outcome = Outcome("ok" if ok else "error", payload, seconds, self._memory_kib, usable=self.alive)
        self.conclude(outcome)


def peak_kib(pid: int | None) -> int:
    """The most that was resident (Linux); 0 when the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
