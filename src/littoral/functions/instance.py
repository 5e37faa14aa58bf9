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
    ANSWER,
    ERROR,
    FAILED,
    LAST_ERROR,
    LENGTH,
    NO_PROGRAM,
    OK,
    PIECE,
    READY,
    STREAM,
    Frames,
    Garbled,
    event_frame,
)
from littoral.functions.held import kept_from_running, resident
from littoral.functions.keeper import KeeperGone
from littoral.functions.line import Line
from littoral.functions.logpipe import LogPipe
from littoral.functions.mailbox import LETTER, Mailbox
from littoral.functions.outcome import Outcome, exit_payload, exit_words, timeout_payload
from littoral.functions.payload import MAX_RESPONSE
from littoral.functions.process import Process
from littoral.functions.streaming import Collected, Taker, too_large
from littoral.functions.turn import InitFailed, Turn
from littoral.functions.version import iso_time

LOOK = 0.001  # seconds between two looks at those who wait
LAST_WORDS = 0.05  # seconds a dead instance's socket may still bring its last frame


class Instance(asyncio.Protocol):
    """Made by ``open_instance``; ``ready`` then waits for the init phase."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stream = ""  # log stream
        self.alive = True
        self.served = 0
        self.idle_since = 0.0
        self.init_seconds: float | None = None
        self.on_death: Callable[[Instance], None] = _nothing
        self.process = Process()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames(self._frame)
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._special: asyncio.Future[None] | None = None  # a spare is being given its function
        self._line: Line[Turn] = Line()
        self.log = LogPipe(self._line.find)
        self._began = 0.0  # the event under way
        self._behind = False  # it was given while another was under way
        self.mailbox: Mailbox | None = None
        self._reads_mail = False
        self._look: asyncio.TimerHandle | None = None  # at those who wait: whether they get on
        self._progress = -1  # events answered at the last look
        self._kept_from_running = -1.0  # seconds, at the last look if nothing had been answered
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

    @property
    def load(self) -> int:
        """Events that it has and has not answered."""
        return len(self._line)

    @property
    def takes_mail(self) -> bool:
        """Whether it may be given an event while it is busy."""
        return self._reads_mail and self.mailbox is not None and len(self._line) < self.mailbox.room and self.alive

    def submit(self, turn: Turn) -> None:
        """One event. When others are under way it waits, but not for long: an event that one before it keeps waiting
        is ``returned``."""
        line = self._line
        line.append(turn)
        self.served += 1
        if len(line) == 1:
            self._behind = False
            self._begin(turn)
        elif self._look is None:
            self._progress = -1
            self._look = self._loop.call_later(LOOK, self._look_at_line)
        self.send_event(turn)
        if not self.alive:
            self._finish_dead()

    def _begin(self, turn: Turn) -> None:
        self._taker = turn.taker
        self._streams = False
        log = self.log
        if log.speaker is None or log.speaker not in self._line:
            log.speaker, log.printed = None, turn.printed
        self._began = time.perf_counter()
        if self._timer is None:
            self._timer = self._loop.call_later(turn.timeout, self._look_at_clock)
        turn.begins()

    def send_event(self, turn: Turn) -> None:
        request_id = turn.request_id.encode()
        frame = event_frame(turn, request_id, waits=turn is not self._line.current)
        if self._reads_mail and self.mailbox is not None:
            if len(frame) - LENGTH <= LETTER:
                self.mailbox.put(frame[LENGTH:])
                return
            self.mailbox.put(b"L" + request_id)
        self._write(frame)

    def conclude(self, outcome: Outcome) -> None:
        """The event under way has ended; the next one begins."""
        line = self._line
        turn = line.answered()
        if turn is None:
            return
        turn.concluded(self._whole(outcome) if self._streams else outcome)
        following = line.current
        if following is not None and self.alive:
            self._behind = True
            self._begin(following)

    def _look_at_line(self) -> None:
        """Those who wait are taken back when nothing was answered between three looks, unless the instance was kept
        from running: another instance would fare no better."""
        self._look = None
        if len(self._line) < 2 or not self.alive:
            return
        progress, before = self.served - len(self._line), self._kept_from_running
        self._kept_from_running = -1.0
        if progress == self._progress:
            now = kept_from_running(self.process.pid)
            if before >= 0 and now - before < LOOK / 2:
                self._take_back()
                if len(self._line) < 2:
                    return
            self._kept_from_running = now
        self._progress = progress
        self._look = self._loop.call_later(LOOK, self._look_at_line)

    def _take_back(self) -> None:
        """Those who wait and whom the instance has not begun. The first of the line stays, begun or not."""
        line, mailbox, current = self._line, self.mailbox, self._line.current
        if mailbox is None or current is None:
            return
        letters: dict[str, bytes] = {}

        def taken() -> Iterator[str]:
            while (letter := mailbox.take_back()) is not None:
                request_id = letter[1:37].decode("latin-1")
                letters[request_id] = letter
                yield request_id

        back, first = line.take_back(taken(), alive=self.alive)
        if first is not None:
            mailbox.put(letters[first.request_id])
        if line.current is not current and line.current is not None:
            self._begin(line.current)
        self.served -= len(back)
        for turn in back:
            turn.returned()

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
        if self._line or not self._ready.done():
            self.log.drain()  # what was printed before this was sent
        try:
            self._frames.feed(data)
        except Garbled:
            self.process.kill()

    def _frame(self, data: bytes, at: int) -> None:
        """``at`` is where the frame's kind stands; it reaches to the end of ``data``."""
        kind = data[at]
        if kind in (OK, ERROR, LAST_ERROR):
            if self._line:
                memory_kib, took = ANSWER.unpack_from(data, at + 1)
                self._answered(kind, memory_kib, took, data[at + 9 :])
        elif kind == READY and not self._ready.done():
            self._reads_mail = data[at + 1 :] == b"M"
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

    def _answered(self, kind: int, memory_kib: int, microseconds: int, payload: bytes) -> None:
        duration, said = time.perf_counter() - self._began, microseconds / 1e6
        if self._behind or len(self._line) > 1:  # the answers of several may have come at once: its own word, then
            duration = min(duration, said)
        self._memory_kib = memory_kib
        if kind == LAST_ERROR:
            self.alive = False
            self._take_back()
        self.conclude(Outcome("ok" if kind == OK else "error", payload, duration, memory_kib, "", self.alive, said))

    # ------------------------------------------------------------------------------------ a response in pieces

    def begin_stream(self, content_type: str) -> None:
        if not self._line or self._streams:
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
        self.log.drain()
        self.alive = False
        self._miss_specialisation()
        words = exit_words(self._status if self._status is not None else -1)
        if not self._ready.done():
            self._ready.set_exception(InitFailed(b"", words=words))
            self._ready.exception()
        self._take_back()
        while (turn := self._line.current) is not None:
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
        turn = self._line.current
        if turn is None:
            return
        left = self._began + turn.timeout - time.perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look_at_clock)
        else:
            self._expired(turn)

    def _expired(self, turn: Turn) -> None:
        self.log.drain()
        self.alive = False
        self._take_back()
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
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self.mailbox is not None:
            self._take_back()
            self.mailbox.close()
            self.mailbox = None
        self.log.close()
        notify, self.on_death = self.on_death, _nothing
        notify(self)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _nothing(instance: Instance) -> None:
    """Nobody asked."""
