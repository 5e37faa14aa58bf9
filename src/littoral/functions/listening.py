"""An instance with an HTTP API of its own: the Extensions API, and for the ``provided`` runtimes the Runtime API.

Owns: one loopback listener per instance, and who may talk to it: only processes of that instance, told by the owner of
the socket at the other end, for every function of a place can reach every port of its loopback; and the phases that
extensions take part in (init, the rest after an invocation, shutdown). What may be asked when is decided in
``runtimeapi`` and ``extensionsapi``; the process, its log and its end are ``Instance``'s.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from littoral.functions import extensionsapi, runtimeapi
from littoral.functions.extensionsapi import Extension, ExtensionsApi
from littoral.functions.frames import event_about
from littoral.functions.held import descendants
from littoral.functions.instance import Instance
from littoral.functions.outcome import Outcome, exit_words, platform_payload
from littoral.functions.peer import holds
from littoral.functions.runtimeapi import Reply
from littoral.functions.turn import InitFailed, Turn
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import BodyError, Headers, Request, Response

OWN_PORT = 9001
SHUTDOWN = 2.0  # seconds that extensions have for their end
SHUTDOWN_INSIDE = 0.5  # where only the runtime itself has registered some


class ListeningInstance(Instance):
    """Made by ``Launcher``: ``listen``, then the process is started with ``address`` in its environment."""

    def __init__(self, *, clock: Callable[[], float], extensions: ExtensionsApi) -> None:
        super().__init__(clock=clock)
        self.extensions = extensions
        self._external = not extensions.settled  # some are awaited
        self._moved = asyncio.Event()  # an event was offered, something was asked, or somebody ended
        self._listener: HttpListener | None = None
        self._known: set[int] = set()  # ports of connections that are this instance's
        self._started = asyncio.Event()  # its process id is known
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._alone = False  # in a network of its own: whoever connects is the instance
        self._ends_at = 0.0  # when the time of the last event is over (monotonic seconds)

    async def listen(self) -> None:
        self._listener = await listen_http(self._handle)

    @property
    def address(self) -> str:
        """Where programs find their APIs; Lambda's own port where the instance has a network to itself."""
        return f"127.0.0.1:{self._listener.port if self._listener is not None else OWN_PORT}"

    def listening(self, listener: socket.socket) -> None:
        if not self.alive:
            listener.close()
            return
        self._alone = True
        self._later(self._adopt(listener))

    async def _adopt(self, listener: socket.socket) -> None:
        self._listener = await listen_http(self._handle, sock=listener)
        if not self.alive:
            self._close()

    def refuse_init(self, kind: str, message: str) -> None:
        """There is nothing to start."""
        self.alive = False
        self._fail_init(InitFailed(b"", words=message, kind=kind))

    def started(self, pid: int) -> None:
        super().started(pid)
        self._started.set()
        self.boots()

    def send_event(self, turn: Turn, kind: bytes) -> None:
        now = self.clock()
        if not turn.trace:
            root = f"1-{int(now):08x}-{secrets.token_hex(12)}"
            turn.trace = f"Root={root};Parent={secrets.token_hex(8)};Sampled=0"
            turn.about = event_about(turn.arn, turn.timeout, turn.context, turn.trace, turn.group)
        self._ends_at = time.monotonic() + turn.timeout
        if self.extensions.any:
            self.extensions.invoke(turn.request_id, int((now + turn.timeout) * 1000), turn.arn, turn.trace)
            self._moved_on()
        self.hand_event(turn, kind)

    def hand_event(self, turn: Turn, kind: bytes) -> None:
        """Give the event to the runtime."""
        super().send_event(turn, kind)

    # ------------------------------------------------------------------------------------ phases

    async def others_ready(self) -> None:
        while not self.extensions.settled:
            if self.extensions.failure is not None:
                self.kill()
                kind, message = self.extensions.failure
                raise InitFailed(b"", words=message, kind=kind)
            if not self.alive:
                raise InitFailed(b"", words=exit_words(-1 if self._status is None else self._status))
            await self._next_move()
        self.extensions.close_registration()

    @property
    def rests(self) -> bool:  # type: ignore[override]
        return not self.extensions.settled and self.alive

    async def rested(self) -> bool:
        while not self.extensions.settled and self.alive:
            left = self._ends_at - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self._next_move()
            except TimeoutError:
                self.log.say(b"[littoral] an extension went on beyond the function's timeout\n")
                return False
        return self.alive

    def companion_ended(self, name: str, status: int) -> None:
        self.extensions.ended(name, exit_words(status))
        self._look_for_failure()

    def _look_for_failure(self) -> None:
        """An extension that has failed takes the instance with it."""
        failure = self.extensions.failure
        self._moved_on()
        if failure is None or not self._ready.done() or not self.alive:
            return
        turn = self.line.current
        if turn is not None:
            kind, message = failure
            payload = platform_payload(kind, turn.request_id, message)
            seconds = time.perf_counter() - self._began
            self.conclude(Outcome("error", payload, seconds, self._memory_kib, usable=False))
        self.kill()

    def end(self, reason: str) -> None:
        """Tell extensions, and the runtime by SIGTERM, before the end: two seconds at most."""
        if self._ending is not None:
            return
        if not self.extensions.any or not self.process.started or self._status is not None:
            self.kill()
            return
        self.alive = False
        self._ending = asyncio.get_running_loop().create_task(self._shut_down(reason))

    async def ended(self) -> None:
        if self._ending is not None:
            await self._ending

    async def _shut_down(self, reason: str) -> None:
        seconds = SHUTDOWN if self._external else SHUTDOWN_INSIDE
        self.extensions.shut_down(reason, int((self.clock() + seconds) * 1000))
        self._moved_on()
        self.process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            self.kill()

    def _finish_dead(self) -> None:
        super()._finish_dead()
        self._gone.set()

    def _close(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._later(listener.close(0.0))
        super()._close()
        self._moved_on()

    def _moved_on(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _next_move(self) -> None:
        await self._moved.wait()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------------------------ the HTTP side

    async def _handle(self, request: Request) -> Response:
        if not await self._is_ours(request):
            return response_of(runtimeapi.refusal(403, "Forbidden", "This API is another process's."))
        verb = extensionsapi.recognise(request.method, request.raw_path)
        if verb is None:
            return await self.answer_runtime(request)
        if isinstance(verb, Reply):
            return response_of(verb)
        try:
            body = await request.body.read(extensionsapi.MAX_BODY)
        except BodyError as problem:
            return response_of(runtimeapi.refusal(400, "InvalidRequestFormat", str(problem)))
        return await self._answer_extension(verb, request.headers, body)

    async def answer_runtime(self, request: Request) -> Response:
        """A managed runtime has its events by another way."""
        return response_of(runtimeapi.refusal(404, "NotFound", f"No such path: {request.raw_path[:200]}"))

    async def _answer_extension(self, verb: extensionsapi.Verb, headers: Headers, body: bytes) -> Response:
        if verb == "telemetry":
            return response_of(extensionsapi.NO_TELEMETRY)
        if verb == "register":
            features = (headers.get("lambda-extension-accept-feature") or "").split(",")
            account = "accountId" in [each.strip() for each in features]
            name = headers.get("lambda-extension-name")
            return response_of(self.extensions.register(name, body, with_account=account))
        identifier = headers.get("lambda-extension-identifier")
        if verb == "next":
            return await self._next_of(identifier)
        reply = self.extensions.report(identifier, verb, headers.get("lambda-extension-function-error-type"))
        self._look_for_failure()
        return response_of(reply)

    async def _next_of(self, identifier: str | None) -> Response:
        asked: Extension | Reply = self.extensions.ask(identifier)
        if isinstance(asked, Reply):
            return response_of(asked)
        self._moved_on()
        while (event := self.extensions.hand_out(asked)) is None:
            await self._next_move()
        self._moved_on()
        headers = [("content-type", "application/json"), ("lambda-extension-event-identifier", str(uuid.uuid4()))]
        return Response(200, Headers.of(headers), event)

    async def _is_ours(self, request: Request) -> bool:
        port = request.peer.port
        if self._alone or port in self._known:
            return True
        await self._started.wait()
        listener = self._listener
        if self.process.pid is None or listener is None:
            return False
        ours = holds([self.process.pid], port, listener.port)
        if not ours and self.process.first is not None:  # something that it started, maybe one of a thousand
            family = await asyncio.to_thread(descendants, self.process.first)
            ours = await asyncio.to_thread(holds, family, port, listener.port)
        if ours:
            self._known.add(port)
        return ours


def response_of(reply: Reply) -> Response:
    return Response(reply.status, Headers.of(reply.headers), reply.body)
