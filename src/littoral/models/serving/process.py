"""A model's process, as the place has it: started, given a model, asked, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from littoral.models import frames
from littoral.models.serving.answers import MOST_ROWS, USUAL_ROWS, Answer, Artifact, Ask, CannotServe

BOOT: Final = 60.0  # seconds
TAIL: Final = 2000  # of what it says at its end
MODULE: Final = "littoral.models.runtime.worker"


@dataclass(frozen=True, slots=True)
class Limits:
    memory: int  # bytes that one model may allocate
    threads: int = 0  # of one model; 0: one a processor
    processors: int = 0  # that all models have together; 0: all that the place has
    most: int = 0  # models in memory at once; 0: as many as it holds
    gpu: bool | None = None  # None: where ONNX Runtime offers one
    seconds: float = 60.0  # for a batch, and for loading


class Gone(Exception):
    """The process has ended, or did not answer in time and was ended; the message says which."""


Heard = tuple[frames.Head, list[memoryview]]


class _Frames(asyncio.BufferedProtocol):
    """Whole frames, read into place, for those who wait for them in the order of their asking."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[Heard]] = deque()
        self.transport: Any = None
        self._reset()

    def expect(self) -> asyncio.Future[Heard]:
        future: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        if self.transport is not None and self.transport.is_closing():
            future.set_exception(Gone("the model's process has ended"))
            future.exception()
        else:
            self.waiting.append(future)
        return future

    def _reset(self) -> None:
        self._buffer, self._at, self._head = bytearray(frames.PREFIX.size), 0, -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        self._at += nbytes
        if self._at < len(self._buffer):
            return
        try:
            if self._head < 0:
                self._head, body = frames.lengths(self._buffer)
                if body > frames.MOST_ANSWERS:
                    raise ValueError(f"an answer of {body} bytes")
                self._buffer, self._at = bytearray(self._head + body), 0
                return
            whole = memoryview(self._buffer)
            said = frames.decoded(whole[: self._head], whole[self._head :])
        except (ValueError, KeyError, TypeError, MemoryError):  # it is hostile, or broken
            self.transport.abort()
            return
        self._reset()
        if self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(said)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self.waiting = self.waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(Gone("the model's process has ended"))
                future.exception()  # whoever waits gets it; one that nobody waits for any more is no accident


class ModelProcess:
    def __init__(self, child: asyncio.subprocess.Process, protocol: _Frames, side: socket.socket) -> None:
        self._child = child
        self._handle = _handle_of(child.pid)
        self._protocol = protocol
        self._side = side
        self._tail = b""
        self._told = asyncio.ensure_future(self._listen())

    @classmethod
    async def start(cls, confine: Callable[[Sequence[str]], Sequence[str]]) -> Self:
        """Ready for a model. Raises CannotServe."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        side = ours.dup()
        protocol = _Frames()
        try:
            child = await _executed(confine, theirs)
        except BaseException as problem:
            ours.close()
            side.close()
            if isinstance(problem, OSError):
                raise CannotServe("gone", f"models cannot be run here: {problem}") from problem
            raise
        finally:
            theirs.close()
        made = cls(child, protocol, side)
        try:
            greeting = protocol.expect()
            await asyncio.get_running_loop().create_unix_connection(lambda: protocol, sock=ours)
            await made._hear(greeting, BOOT)
        except BaseException as problem:
            if protocol.transport is None:
                ours.close()
            await made.close()
            if isinstance(problem, Gone):
                raise CannotServe("gone", f"models cannot be run here: {made.last_words or problem}") from problem
            raise
        return made

    async def _listen(self) -> None:
        assert self._child.stderr is not None
        while chunk := await self._child.stderr.read(4096):
            self._tail = (self._tail + chunk)[-TAIL:]

    @property
    def last_words(self) -> str:
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        missing = "No module named" in (lines[-1] if lines else "")
        return f"{lines[-1]}: pip install 'littoral[models]'" if missing else (lines[-1] if lines else "")

    async def _hear(self, future: asyncio.Future[Heard], seconds: float) -> Heard:
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            self.kill()
            raise late(seconds) from None
        except Gone:
            raise await self.ended() from None

    async def ended(self) -> Gone:
        """How, once it has."""
        self.kill()
        code = await self._child.wait()
        await self._told
        return Gone(f"the model's process has ended {f'by signal {-code}' if code < 0 else f'with status {code}'}")

    def _ask(self, head: frames.Head, parts: Sequence[frames.Bytes]) -> asyncio.Future[Heard]:
        future = self._protocol.expect()
        if not future.done():
            self._protocol.transport.writelines(frames.encoded(head, parts))
        return future

    async def load(self, artifact: Artifact, limits: Limits) -> list[str]:
        """The providers that it runs on. Raises CannotServe, Gone, and what reading raises."""
        data = await artifact.read()
        descriptor = os.memfd_create("model", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                await asyncio.to_thread(file.write, data)
            os.lseek(descriptor, 0, os.SEEK_SET)
            socket.send_fds(self._side, [b"m"], [descriptor])
        except OSError as problem:
            raise Gone(f"the model's process cannot be given the model: {problem}") from problem
        finally:
            os.close(descriptor)
        head = {
            "memory": limits.memory,
            "threads": limits.threads,
            "processors": limits.processors,
            "gpu": limits.gpu,
            "rows": artifact.rows,
            "usual_rows": USUAL_ROWS,
            "most_rows": MOST_ROWS,
        }
        said, _ = await self._hear(self._ask(head, ()), limits.seconds)
        if "error" in said:
            raise CannotServe("model", str(said["message"]))
        return [str(each) for each in said["loaded"]]

    def batch(self, asks: Sequence[Ask]) -> asyncio.Future[Heard]:
        """Sent; ``answers`` reads what comes. Fails with Gone."""
        return self._ask({"requests": [each.head for each in asks]}, [each.body for each in asks])

    @property
    def memory(self) -> int:
        """Bytes that it holds now; 0 where it has ended."""
        try:
            resident = Path(f"/proc/{self._child.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(resident) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """By its descriptor: ``Process.kill`` looks first whether it has ended, and may so take the status away from
        asyncio, which then says 255."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def close(self) -> None:
        self.kill()
        if self._protocol.transport is not None:
            self._protocol.transport.abort()
        self._side.close()
        await self._child.wait()
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        await self._told


def answers(heard: Heard, count: int) -> list[Answer | CannotServe]:
    """An answer for each of so many requests. Raises Gone where it is something else."""
    said, parts = heard
    found: list[Answer | CannotServe] = []
    at = 0
    try:
        for each in said["answers"]:
            if "error" in each:
                found.append(CannotServe(str(each["error"]), str(each["message"])))
            else:
                found.append(Answer(parts[at : at + each["parts"]], each.get("header")))
            at += each["parts"]
    except (KeyError, TypeError, AttributeError) as problem:
        raise Gone("the model's process answered something else than was asked") from problem
    if len(found) != count:
        raise Gone("the model's process answered something else than was asked")
    return found


def _handle_of(pid: int) -> int | None:
    """A descriptor of a child; None where it has ended already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def late(seconds: float) -> Gone:
    return Gone(f"the model did not answer in {seconds:g} seconds")


async def _executed(
    confine: Callable[[Sequence[str]], Sequence[str]], theirs: socket.socket
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *confine([sys.executable, "-I", "-m", MODULE, str(theirs.fileno())]),
        pass_fds=(theirs.fileno(),),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd="/",
    )
