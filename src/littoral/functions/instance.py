"""One instance of a function, as the place sees it: a socket of frames, a pipe of log, and a number at the keeper.

Owns: one event at a time in, one ``Outcome`` out; the timeout; how an instance's end is noticed. The frames are
described in ``runtime/bootstrap.py``.

Noticing the end: a handler can close the socket, or fork a child that keeps it open, so the socket proves nothing.
The keeper's word (``exited``) is what counts. A result may still be in the socket when that word comes, so it waits
for the end of file, though not for long.

Log before result: whatever was printed before a frame was sent is in the pipe by then, so the pipe is emptied before
frames are looked at. An event that waited in the mailbox may have begun and printed by then; the runtime writes a mark
with its id before its first word.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from littoral.functions.frames import (
    BOOTED,
    FAILED,
    LAST_ERROR,
    LENGTH,
    LETTER,
    NAMED,
    NO_PROGRAM,
    OK,
    PIECE,
    READY,
    STREAM,
    Frames,
    Garbled,
)
from littoral.functions.held import resident
from littoral.functions.keeper import KeeperGone
from littoral.functions.line import DEPTH, Line
from littoral.functions.logpipe import LogPipe
from littoral.functions.lookout import Lookout
from littoral.functions.mailbox import Mailbox
from littoral.functions.outcome import Outcome, exit_payload, exit_words, timeout_payload
from littoral.functions.pieces import Pieces
from littoral.functions.process import Process
from littoral.functions.turn import InitFailed, Turn
from littoral.functions.version import iso_time

LAST_WORDS = 0.05  # seconds a dead instance's socket may still bring its last frame


class Instance(asyncio.Protocol):
    """Made by ``open_instance``; ``ready`` then waits for the init phase."""

    rests = False  # whether something beside the runtime is still busy with the last event

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stream = ""  # log stream
        self.alive = True
        self.line: Line[Turn] = Line()  # events that it has and has not answered
        self.room = 0  # of them, when it may be given some while it is busy
        self.given = 0  # events since it began
        self.peak_kib = 0  # the most that it is known to take
        self.idle_since = 0.0
        self.init_seconds: float | None = None
        self.booted = False  # it runs the function's own code
        self.on_booted: Callable[[], None] = _nobody
        self.on_death: Callable[[Instance], None] = _nothing
        self.process = Process()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames(self)
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._special: asyncio.Future[None] | None = None  # a spare is being given its function
        self.log = LogPipe(self.line)
        self._began = 0.0  # the event under way
        self._behind = False  # it was given while another was under way
        self.mailbox: Mailbox | None = None
        self._reads_mail = False
        self._lookout = Lookout(self)
        self._timer: asyncio.TimerHandle | None = None
        self._born = time.perf_counter()
        self.pieces = Pieces(self._hold, self._release)
        self._held = False  # nothing is read: the reader of a streamed response has enough for now
        self._status: int | None = None
        self._eof = False
        self._memory_kib = 0

    # ------------------------------------------------------------------------------------ the caller's side

    def configure(self, frame: bytes) -> None:
        """Node.js only: say which function this is."""
        self._born = time.perf_counter()
        self._write(frame)

    async def ready(self, limit: float) -> float:
        """Wait for the init phase; the seconds it took, from the instance's beginning: it may be over by now. They are
        ``init_seconds`` then, of one that failed, too. Raises InitFailed; the instance is then dead."""
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._ready)
                await self.others_ready()
        except TimeoutError:  # its time is in the outcome's duration
            self.kill()
            raise InitFailed(b"", words="init timeout") from None
        except InitFailed:
            self.init_seconds = time.perf_counter() - self._born
            raise
        self.init_seconds = time.perf_counter() - self._born
        return self.init_seconds

    def submit(self, turn: Turn) -> None:
        """One event. When others are under way it waits, but not for long: an event that one before it keeps waiting
        is ``returned``."""
        line = self.line
        line.append(turn)
        self.given += 1
        if len(line) == 1:
            self._behind = False
            self._begin(turn)
            self.send_event(turn, b"I")
        else:
            if not self._lookout.watches:
                self._lookout.watch()
            self.send_event(turn, b"Q")
        if not self.alive:
            self._finish_dead()

    def _begin(self, turn: Turn) -> None:
        self.log.turn = turn
        self._began = time.perf_counter()
        if self._timer is None:
            self._timer = self._loop.call_later(turn.timeout, self._look_at_clock)
        turn.begins()

    def send_event(self, turn: Turn, kind: bytes) -> None:
        """``kind``: I, or Q where another is under way."""
        request_id, about, payload = turn.request_id.encode(), turn.about, turn.payload
        size = NAMED + len(about) + len(payload)
        if self._reads_mail and self.mailbox is not None:
            if size <= LETTER:
                self.mailbox.put(b"%b%b%b%b" % (kind, request_id, about, payload))
                return
            self.mailbox.put(b"L" + request_id)
        self._write(b"".join((size.to_bytes(LENGTH, "big"), kind, request_id, about, payload)))

    def conclude(self, outcome: Outcome) -> None:
        """The event under way has ended; the next one begins."""
        line = self.line
        if not line:
            return
        turn = line.popleft()
        following = line[0] if line else None
        if self.pieces.begun:
            self.pieces.end(outcome)
        turn.concluded(outcome)
        if following is not None and self.alive:
            self._behind = True
            self._begin(following)

    def take_back(self) -> None:
        """Those who wait and whom the instance has not begun. The first of the line stays, begun or not."""
        line, mailbox, current = self.line, self.mailbox, self.line.current
        if mailbox is None or current is None:
            return
        letters: dict[str, bytes] = {}

        def taken() -> Iterator[str]:
            while (letter := mailbox.take_back()) is not None:
                request_id = letter[1:NAMED].decode("latin-1")
                letters[request_id] = letter
                yield request_id

        back, first = line.take_back(taken(), alive=self.alive)
        if first is not None:
            mailbox.put(letters[first.request_id])
        if line.current is not current and line.current is not None:
            self._begin(line.current)
        self.given -= len(back)
        for turn in back:
            turn.returned()

    async def others_ready(self) -> None:
        """Until what runs beside the runtime is ready, too. Raises InitFailed."""

    async def rested(self) -> bool:
        """Until it is not; whether the instance may be used again."""
        return self.alive

    def end(self, reason: str) -> None:
        """Let it go: "spindown" or "timeout". Without extensions that is at once, as on AWS."""
        self.kill()

    async def ended(self) -> None:
        """Until an end that takes its time is over."""

    def _stops(self) -> None:
        """It takes no further event."""
        self.alive = False
        self.room = 0

    def kill(self) -> None:
        """End the instance and all it forked."""
        self._stops()
        self.process.kill()
        self._close()

    async def specialise(self, cell: Mapping[str, Any]) -> None:
        """Give a spare its function's folders and limits. Raises KeeperGone when it ends before it has them."""
        self._special = asyncio.get_running_loop().create_future()
        self.process.specialise(cell)
        if not self.alive:
            self._special.set_exception(KeeperGone("the instance ended before its function was known"))
        await self._special

    # ------------------------------------------------------------------------------------ frames

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.line or not self._ready.done():
            self.log.drain()  # what was printed before this was sent
        try:
            self._frames.feed(data)
        except Garbled:
            self.process.kill()

    def answered(self, kind: int, memory_kib: int, microseconds: int, payload: bytes) -> None:
        line = self.line
        if not line:
            return  # nobody asked
        duration, said = time.perf_counter() - self._began, microseconds / 1e6
        if said < duration and (self._behind or len(line) > 1):
            duration = said  # the answers of several may have come at once: its own word, then
        self._memory_kib = memory_kib
        if kind == LAST_ERROR:
            self._stops()
            self.take_back()
        self.conclude(Outcome("ok" if kind == OK else "error", payload, duration, memory_kib, "", self.alive, said))

    def said(self, kind: int, data: bytes) -> None:
        """A frame that is no answer."""
        if kind == READY and not self._ready.done():
            self._reads_mail = data == b"M" and self.mailbox is not None
            self.room = min(DEPTH, self.mailbox.room) if self._reads_mail and self.mailbox is not None else 0
            self._ready.set_result(None)
        elif kind == BOOTED:
            self.boots()
        elif kind == FAILED and not self._ready.done():
            self._fail_init(InitFailed(data))
        elif kind == STREAM and self.line:
            self.pieces.begin(self.line[0].taker, data.decode("latin-1"))
        elif kind == PIECE:
            self.pieces.feed(data)
        elif kind == NO_PROGRAM and not self._ready.done():
            self._fail_init(InitFailed(b"", words=data.decode("utf-8", "replace"), kind="Runtime.InvalidEntrypoint"))

    def boots(self) -> None:
        self.booted = True
        self.on_booted()

    def _fail_init(self, failure: InitFailed) -> None:
        self._ready.set_exception(failure)
        self._ready.exception()  # seen, even when nobody waits

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
            asyncio.get_running_loop().call_later(LAST_WORDS, self.process.kill)

    # ------------------------------------------------------------------------------------ the keeper's word

    def started(self, pid: int) -> None:
        self.process.first = pid

    def specialised(self) -> None:
        if self._special is not None and not self._special.done():
            self._special.set_result(None)

    def companion_ended(self, name: str, status: int) -> None:
        """A process beside the runtime has ended; here none is started."""

    def listening(self, listener: socket.socket) -> None:
        listener.close()  # asked for by runtimes of one's own alone

    def outgrew(self, kib: int) -> None:
        """It has more memory than it may, and is killed for it, as by Lambda: its report says that it had it all."""
        self._memory_kib = max(self._memory_kib, kib)
        self.process.kill()

    def failed(self, error: str) -> None:
        self._status = -1
        if not self._ready.done():
            self._fail_init(InitFailed(b"", words=f"the process could not be started: {error}"))
        self._finish_dead()

    def exited(self, status: int, peak_kib: int) -> None:
        self._status = status
        self._memory_kib = max(self._memory_kib, peak_kib)
        self._stops()
        if self._eof:
            self._finish_dead()
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._finish_dead)

    def _finish_dead(self) -> None:
        self.log.drain()
        self._stops()
        self._miss_specialisation()
        words = exit_words(self._status if self._status is not None else -1)
        if not self._ready.done():
            self._fail_init(InitFailed(b"", words=words))
        self.take_back()
        while (turn := self.line.current) is not None:
            duration = time.perf_counter() - self._began
            payload = exit_payload(turn.request_id, words)
            self.conclude(Outcome("exit", payload, duration, self._memory_kib, words, usable=False))
        self._close()

    def _miss_specialisation(self) -> None:
        if self._special is not None and not self._special.done():
            self._special.set_exception(KeeperGone("the instance ended before its function was known"))

    def _look_at_clock(self) -> None:
        """One timer follows one event after another, for most end long before their limit: set anew when it goes off,
        not at each event."""
        self._timer = None
        turn = self.line.current
        if turn is None:
            return
        left = self._began + turn.timeout - time.perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look_at_clock)
        else:
            self._expired(turn)

    def _expired(self, turn: Turn) -> None:
        self.log.drain()
        self._stops()
        self.take_back()
        self._memory_kib = max(self._memory_kib, resident(self.process.pid) // 1024)
        payload = timeout_payload(iso_time(self.clock()), turn.request_id, turn.timeout)
        self.end("timeout")
        self.conclude(Outcome("timeout", payload, turn.timeout, self._memory_kib, usable=False))

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        self._lookout.stop()
        self.room = 0
        if self.mailbox is not None:
            self.take_back()
            self.mailbox.close()
            self.mailbox = None
        self.log.close()
        notify, self.on_death = self.on_death, _nothing
        notify(self)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _nobody() -> None:
    """Nobody waits."""


def _nothing(instance: Instance) -> None:
    """Nobody asked."""
