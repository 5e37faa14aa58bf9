"""One instance of a function, as the place sees it: a socket of frames, a pipe of log, and a number at the keeper.

Owns: one event at a time in, one ``Outcome`` out; the timeout; how an instance's end is noticed. The frames are
described in ``runtime/bootstrap.py``.

Noticing the end: a handler can close the socket, or fork a child that keeps it open, so the socket proves nothing.
The keeper's word (``exited``) is what counts. A result may still be in the socket when that word comes, so it waits
for the end of file, though not for long.

Log before result: whatever was printed before a frame was sent is in the pipe by then. So one look of the loop finds
both readable and both are read in that turn, in whichever order; who waits for the result goes on in a later one. Where
that is not enough (a response in pieces, more in the pipe than one read takes, an end) the pipe is emptied first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

from littoral.functions.held import descendants, only_child, resident, together
from littoral.functions.keeper import Keeper, KeeperGone
from littoral.functions.outcome import Outcome, exit_payload, exit_words, timeout_payload
from littoral.functions.payload import MAX_RESPONSE
from littoral.functions.streaming import Collected, Taker, too_large
from littoral.functions.version import iso_time

INVOKE = struct.Struct(">Ic36sdHHH")
MAX_FRAME = 8 * 1024 * 1024
LAST_WORDS = 0.05  # seconds a dead instance's socket may still bring its last frame
PIPE_READ = 65536
OK, ERROR, LAST_ERROR, READY, FAILED, STREAM, PIECE, NO_PROGRAM = b"OEXRFSDN"


class InitFailed(Exception):
    """The handler could not be loaded. ``payload`` is the error object."""

    def __init__(self, payload: bytes, *, words: str | None = None, kind: str | None = None) -> None:
        super().__init__(payload.decode("utf-8", "replace")[:500])
        self.payload = payload
        self.words = words  # how the process ended when it gave no error object itself
        self.kind = kind  # the platform's own error type, ``words`` being its message


class Instance(asyncio.Protocol):
    """Made by ``open_instance``; ``ready`` then waits for the init phase."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stream = ""  # log stream
        self.key = ""  # FunctionVersion.key
        self._process: int | None = None  # as the keeper said
        self._payload: int | None = None
        self.alive = True
        self.served = 0
        self.idle_since = 0.0
        self.init_seconds: float | None = None
        self.printed: Callable[[bytes], None] = _nowhere
        self.on_death: Callable[[Instance], None] = _nothing
        self._keeper: Keeper | None = None
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._log_fd = -1
        self._log_full = False  # the last read of the log did not take all
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._special: asyncio.Future[None] | None = None  # a spare is being given its function
        self._waiter: asyncio.Future[Outcome] | None = None
        self._request_id = ""
        self._began = 0.0
        self._limit = 0.0  # seconds for the event under way
        self._timer: asyncio.TimerHandle | None = None
        self._born = time.perf_counter()
        self._taker: Taker | None = None  # of a response that comes in pieces
        self._streams = False  # it has begun
        self._held = False  # nothing is read: its reader has enough for now
        self._status: int | None = None
        self._eof = False
        self._memory_kib = 0

    # ------------------------------------------------------------------------------------ the caller's side

    def configure(self, frame: bytes) -> None:
        """Node.js only: say which function this is."""
        self._born = time.perf_counter()
        self._write(frame)

    async def ready(self, limit: float) -> float:
        """Wait for the init phase; the seconds it took. Raises InitFailed; the instance is then dead."""
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._ready)
                await self.others_ready()
        except TimeoutError:
            self.kill()
            raise InitFailed(b"", words="init timeout") from None
        self.init_seconds = time.perf_counter() - self._born
        return self.init_seconds

    async def invoke(
        self,
        request_id: str,
        timeout: float,
        arn: str,
        context: bytes,
        payload: bytes,
        taker: Taker | None = None,
        trace: str = "",
    ) -> Outcome:
        """One event. The outcome says whether the instance may be used again. When the caller is cancelled, use
        ``settled`` to wait for the handler to finish. ``taker`` gets a response that the handler streams; without one
        it is gathered into the outcome's payload. ``trace``: the X-Ray header that came with it."""
        loop = self._loop
        self._request_id = request_id
        waiter: asyncio.Future[Outcome] = loop.create_future()
        self._waiter = waiter
        self._taker = taker
        self._streams = False
        self._began = time.perf_counter()
        self._limit = timeout
        if self._timer is None:
            self._timer = loop.call_later(timeout, self._look_at_clock)
        self.served += 1
        self.send_event(request_id, timeout, arn, context, trace, payload)
        if not self.alive and not waiter.done():
            self._finish_dead()
        try:
            outcome: Outcome = await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():  # our caller left, the handler runs on
                self._waiter = loop.create_future()
            raise
        self._waiter = None
        return outcome

    def send_event(self, request_id: str, timeout: float, arn: str, context: bytes, trace: str, payload: bytes) -> None:
        name, root = arn.encode(), trace.encode()
        size = INVOKE.size - 4 + len(name) + len(context) + len(root) + len(payload)
        head = INVOKE.pack(size, b"I", request_id.encode(), timeout, len(name), len(context), len(root))
        self._write(b"".join((head, name, context, root, payload)))

    async def settled(self) -> Outcome | None:
        """What the abandoned invocation comes to; None when none is under way."""
        waiter = self._waiter
        if waiter is None:
            return None
        outcome: Outcome = await waiter
        self._waiter = None
        return outcome

    async def others_ready(self) -> None:
        """Until what runs beside the runtime is ready, too. Raises InitFailed."""

    @property
    def rests(self) -> bool:
        """Whether something beside the runtime is still busy with the last event."""
        return False

    async def rested(self) -> bool:
        """Until it is not; whether the instance may be used again."""
        return self.alive

    def end(self, reason: str) -> None:
        """Let it go: "spindown" or "timeout". Without extensions that is at once, as on AWS."""
        self.kill()

    async def ended(self) -> None:
        """Until an end that takes its time is over."""

    def kill(self) -> None:
        """End the instance and all it forked."""
        self.alive = False
        if self._keeper is not None:
            self._keeper.kill(self._number)
        self._close()

    async def specialise(self, cell: Mapping[str, Any]) -> None:
        """Give a spare its function's folders and limits. Raises KeeperGone when it ends before it has them."""
        if self._keeper is None:
            raise ValueError("not started")
        self._special = asyncio.get_running_loop().create_future()
        self._keeper.specialise(self._number, cell)
        if not self.alive:
            self._special.set_exception(KeeperGone("the instance ended before its function was known"))
        await self._special

    @property
    def pid(self) -> int | None:
        """The process that runs the function: in a cell, the child of the one that the keeper knows."""
        if self._payload is None and self._process is not None and self._keeper is not None:
            self._payload = only_child(self._process) if self._keeper.cells else self._process
        return self._payload

    def over_memory(self, limit: int, *, closely: bool) -> bool:
        """Whether the process has more than ``limit`` bytes resident; looked at closely, all that it started as well.
        Elsewhere than on Linux the rlimit alone counts."""
        if resident(self.pid) > limit:
            return True
        if not closely or self._process is None:
            return False
        family = [self._process, *descendants(self._process)]
        return sum(map(resident, family)) > limit and together(family) > limit

    def kill_process(self) -> None:
        """What follows is an exit with "signal: killed", as in Lambda when memory runs out."""
        if self._keeper is not None:
            self._keeper.kill(self._number)

    # ------------------------------------------------------------------------------------ frames

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if not buffer and 4 < len(data) <= PIPE_READ and int.from_bytes(data[:4], "big") == len(data) - 4:
            self._frame(data, 4)  # a whole one, as nearly all are
            return
        buffer += data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if not 1 <= size <= MAX_FRAME:  # the function wrote on our socket
                self.kill_process()
                return
            if len(buffer) < 4 + size:
                return
            frame = bytes(memoryview(buffer)[4 : 4 + size])
            del buffer[: 4 + size]
            self._frame(frame, 0)

    def _frame(self, data: bytes, at: int) -> None:
        """``at`` is where the frame's kind stands; it reaches to the end of ``data``."""
        kind = data[at]
        if kind not in (OK, ERROR, LAST_ERROR) or self._streams or self._log_full:
            self._drain()
        if kind in (OK, ERROR, LAST_ERROR):
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                self._answered(waiter, kind, int.from_bytes(data[at + 1 : at + 5], "big"), data[at + 5 :])
        elif kind == READY and not self._ready.done():
            self._ready.set_result(None)
        elif kind == FAILED and not self._ready.done():
            self._ready.set_exception(InitFailed(data[at + 1 :]))
            self._ready.exception()  # seen, even when nobody waits
        elif kind == STREAM:
            self.begin_stream(data[at + 1 :].decode("latin-1"))
        elif kind == PIECE and self._streams and self._taker is not None:
            self._taker.feed(data[at + 1 :])
            if self._taker.full:
                self._hold()
        elif kind == NO_PROGRAM and not self._ready.done():
            words = data[at + 1 :].decode("utf-8", "replace")
            self._ready.set_exception(InitFailed(b"", words=words, kind="Runtime.InvalidEntrypoint"))
            self._ready.exception()

    def _answered(self, waiter: asyncio.Future[Outcome], kind: int, memory_kib: int, payload: bytes) -> None:
        duration = time.perf_counter() - self._began
        self._memory_kib = memory_kib
        if kind == LAST_ERROR:
            self.alive = False
        outcome = Outcome("ok" if kind == OK else "error", payload, duration, memory_kib, "", self.alive)
        waiter.set_result(self._whole(outcome) if self._streams else outcome)

    # ------------------------------------------------------------------------------------ a response in pieces

    def begin_stream(self, content_type: str) -> None:
        if self._waiter is None or self._waiter.done() or self._streams:
            return  # nobody asked
        self._streams = True
        if self._taker is None:
            self._taker = Collected(MAX_RESPONSE)
        self._taker.on_room = self._release
        self._taker.begin(content_type)

    def _whole(self, outcome: Outcome) -> Outcome:
        """The outcome of an event whose response came in pieces."""
        taker, self._streams = self._taker, False
        assert taker is not None
        self._release()  # nothing more comes for that reader, and the next event's answer must not wait for it
        if outcome.kind == "ok":
            outcome.payload = taker.taken()
            if taker.over:
                outcome.kind, outcome.payload = "error", too_large(taker.over)
        return outcome

    def _hold(self) -> None:
        if not self._held and self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def _release(self) -> None:
        if self._held and self._transport is not None:
            self._held = False
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self._ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def _ended(self) -> None:
        if self._eof:
            return
        self._eof = True
        if self._status is not None:
            self._finish_dead()
        else:  # it is about to exit, and its status is wanted; or it closed the socket and is of no use
            asyncio.get_running_loop().call_later(LAST_WORDS, self.kill_process)

    # ------------------------------------------------------------------------------------ the keeper's word

    def started(self, pid: int) -> None:
        self._process = pid

    def specialised(self) -> None:
        if self._special is not None and not self._special.done():
            self._special.set_result(None)

    def companion_ended(self, name: str, status: int) -> None:
        """A process beside the runtime has ended; here none is started."""

    def listening(self, listener: socket.socket) -> None:
        listener.close()  # asked for by runtimes of one's own alone

    def failed(self, error: str) -> None:
        self._status = -1
        if not self._ready.done():
            self._ready.set_exception(InitFailed(b"", words=f"the process could not be started: {error}"))
            self._ready.exception()
        self._finish_dead()

    def exited(self, status: int, peak_kib: int) -> None:
        self._status = status
        self._memory_kib = peak_kib
        self.alive = False
        if self._eof:
            self._finish_dead()
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._finish_dead)

    def _finish_dead(self) -> None:
        self._drain()
        self.alive = False
        self._miss_specialisation()
        words = exit_words(self._status if self._status is not None else -1)
        if not self._ready.done():
            self._ready.set_exception(InitFailed(b"", words=words))
            self._ready.exception()
        if self._waiter is not None and not self._waiter.done():
            duration = time.perf_counter() - self._began
            self._waiter.set_result(
                Outcome("exit", exit_payload(self._request_id, words), duration, self._memory_kib, words, usable=False)
            )
        self._close()

    def _miss_specialisation(self) -> None:
        if self._special is not None and not self._special.done():
            self._special.set_exception(KeeperGone("the instance ended before its function was known"))

    def _look_at_clock(self) -> None:
        """One timer follows one event after another, for most end long before their limit: set anew when it goes off,
        not at each event."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        left = self._began + self._limit - time.perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look_at_clock)
        else:
            self._expired(waiter, self._limit)

    def _expired(self, waiter: asyncio.Future[Outcome], timeout: float) -> None:
        self._drain()
        self.alive = False
        self._memory_kib = max(self._memory_kib, resident(self.pid) // 1024)
        payload = timeout_payload(iso_time(self.clock()), self._request_id, timeout)
        waiter.set_result(Outcome("timeout", payload, timeout, self._memory_kib, usable=False))
        self.end("timeout")

    # ------------------------------------------------------------------------------------ log and ends

    def watch_log(self, fd: int) -> None:
        self._log_fd = fd
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._log_readable)

    def _log_readable(self) -> None:
        """One read a turn: an instance that prints without end must not starve the others."""
        try:
            data = os.read(self._log_fd, PIPE_READ)
        except BlockingIOError:
            return
        if data:
            self._log_full = len(data) == PIPE_READ
            self.printed(data)
        else:  # it closed its output
            self._close_log()

    def _drain(self) -> None:
        """Take what is in the pipe, at most the little more than a pipe holds."""
        self._log_full = False
        for _ in range(32):
            if self._log_fd < 0:
                return
            try:
                data = os.read(self._log_fd, PIPE_READ)
            except BlockingIOError:
                return
            if not data:
                self._close_log()
                return
            self.printed(data)

    def _close_log(self) -> None:
        if self._log_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._log_fd)
            os.close(self._log_fd)
            self._log_fd = -1

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        self._close_log()
        notify, self.on_death = self.on_death, _nothing
        notify(self)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _nowhere(data: bytes) -> None:
    """An instance that prints while no invocation listens."""


def _nothing(instance: Instance) -> None:
    """Nobody asked."""


async def open_instance(
    keeper: Keeper,
    instance: Instance,
    cell: Mapping[str, Any],
    *,
    spec: Mapping[str, Any] | None = None,
    program: tuple[list[str], dict[str, str]] | None = None,
    folder: str | None = None,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Start an instance's process: a fork with ``spec`` (Python), or ``program`` = (arguments, environment).
    ``cell``: see ``Ground.cell``; ``beside``: extensions, see ``Keeper.fork``.

    Returns at once, before the init phase; raises KeeperGone.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    log_read, log_write = os.pipe()
    os.fchmod(log_write, 0o622)  # another user's function may open /dev/stderr, which leads here
    try:
        with theirs:
            if spec is not None:
                number = keeper.fork(cell, dict(spec), theirs, log_write, instance, beside=beside)
            elif program is not None:
                number = keeper.execute(cell, *program, theirs, log_write, instance, folder=folder, beside=beside)
            else:
                raise ValueError("an instance is a fork or a program")
    except BaseException:
        ours.close()
        os.close(log_read)
        raise
    finally:
        os.close(log_write)
    instance._keeper, instance._number = keeper, number
    instance.watch_log(log_read)
    ours.setblocking(False)
    with contextlib.suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    try:
        await loop.create_unix_connection(lambda: instance, sock=ours)
    except BaseException:
        instance.kill()
        ours.close()
        raise
