"""The place's side of the keeper process (``runtime/zygote.py``): one per Python interpreter and set of preloads.

Owns: the process, its control socket, which instance numbers live in it. Knows nothing of functions. What a keeper
says about an instance is handed to whoever registered the number.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from littoral.functions.isolation import cgroup

log = logging.getLogger(__name__)

CONTROL = "{control}"
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
_numbers = itertools.count(1)


class KeeperGone(Exception):
    """The keeper process ended; instances of it are dead."""


class Kept(Protocol):
    """Who is told what becomes of an instance. Called from the loop, never raising."""

    def started(self, pid: int) -> None: ...

    def exited(self, status: int, peak_kib: int) -> None:
        """``status`` as from ``os.wait``, -1 when it is not known; the most memory that was resident."""

    def companion_ended(self, name: str, status: int) -> None:
        """One of the programs beside it ended."""

    def specialised(self) -> None:
        """What ``specialise`` asked for is done."""

    def listening(self, listener: socket.socket) -> None:
        """A listener in the instance's own network, ours to close."""

    def failed(self, error: str) -> None: ...


class Keeper:
    """``command`` runs ``zygote.py`` with a control socket's number in place of ``CONTROL``."""

    def __init__(self, command: Sequence[str], *, cells: bool) -> None:
        self.cells = cells  # whether its instances are isolated: their process is then the child of one
        self._command = list(command)
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: dict[int, Kept] = {}
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._ready: asyncio.Future[None] | None = None
        self._said: IO[bytes] | None = None  # standard error of the process
        self._tunnel = -1

    @property
    def alive(self) -> bool:
        return self._control is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def tunnel(self) -> int:
        """The descriptor of the device that is all its network, from then on the caller's; -1 where there is none."""
        tunnel, self._tunnel = self._tunnel, -1
        return tunnel

    async def start(self) -> None:
        """Start the process and wait until its imports are done. Raises KeeperGone when it does not come up."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [word.replace(CONTROL, str(theirs.fileno())) for word in self._command]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process does not come up, closed with us
        with theirs:
            # A session of its own: Ctrl-C in the terminal is the place's affair.
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                argv,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self._said,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._control = ours
        self._ready = loop.create_future()
        loop.add_reader(ours.fileno(), self._readable)
        try:
            await self._ready
        except KeeperGone:
            raise KeeperGone(await asyncio.to_thread(self._last_words)) from None

    def _last_words(self) -> str:
        """Why the process did not come up."""
        assert self._process is not None and self._said is not None
        status = self._process.wait()
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return words[-1] if words else f"the keeper of function instances ended with status {status}"

    def fork(
        self,
        cell: Mapping[str, Any],
        spec: dict[str, Any],
        fds: Sequence[int],
        kept: Kept,
        *,
        beside: Mapping[str, Any] | None = None,
    ) -> int:
        """Fork a Python instance; its number. ``fds``: its socket, its log, its mailbox if it has one; ``cell``: see
        ``isolation/cell.py``; ``beside``: ``programs`` that are to run in the same cell (name → path), and their
        ``env``."""
        message = {"op": "fork", "cell": dict(cell), "spec": spec, "beside": beside}
        return self._start(message, fds, kept)

    def execute(
        self,
        cell: Mapping[str, Any],
        argv: Sequence[str],
        env: dict[str, str],
        fds: Sequence[int],
        kept: Kept,
        *,
        folder: str | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> int:
        """Start a program with ``fds`` as descriptors 3, 1 and 2, and 4; its number."""
        message = {"op": "exec", "cell": dict(cell), "argv": list(argv), "env": env, "folder": folder, "beside": beside}
        return self._start(message, fds, kept)

    def specialise(self, number: int, cell: Mapping[str, Any]) -> None:
        """Give a program that was started without code the cell it is to have; ``specialised`` or its end follows."""
        if self.alive:
            self._send({"op": "specialise", "id": number, "cell": dict(cell)}, [])

    def kill(self, number: int) -> None:
        """SIGKILL the instance and all it started. Nothing happens when it is gone already."""
        if self.alive and number in self._kept:
            self._send({"op": "kill", "id": number}, [])

    def terminate(self, number: int) -> None:
        """SIGTERM to the instance's own process; what runs beside it is left to end by itself."""
        if self.alive and number in self._kept:
            self._send({"op": "terminate", "id": number}, [])

    async def close(self) -> None:
        """End the process and with it every instance; returns when all are gone."""
        self._lost()
        if (tunnel := self.tunnel()) >= 0:
            os.close(tunnel)
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(self._gone, process)
        if self._said is not None:
            self._said.close()

    def _gone(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if self.cells:
            cgroup.sweep()

    def _start(self, message: dict[str, Any], fds: Sequence[int], kept: Kept) -> int:
        if not self.alive:
            raise KeeperGone("the keeper of function instances is not running")
        number = next(_numbers)
        self._kept[number] = kept
        self._send({**message, "id": number}, [os.dup(fd) for fd in fds])
        return number

    def _send(self, message: dict[str, Any], fds: list[int]) -> None:
        self._outbox.append((json.dumps(message).encode(), fds))
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self) -> None:
        control = self._control
        while control is not None and self._outbox:
            data, fds = self._outbox[0]
            try:
                socket.send_fds(control, [data], fds) if fds else control.send(data)
            except (BlockingIOError, InterruptedError):
                asyncio.get_running_loop().add_writer(control.fileno(), self._flush)
                return
            except OSError:
                self._lost()
                return
            self._outbox.popleft()
            for fd in fds:
                os.close(fd)
        if control is not None:
            asyncio.get_running_loop().remove_writer(control.fileno())

    def _readable(self) -> None:
        while self._control is not None:
            fds: list[int] = []
            try:
                data, fds, _, _ = socket.recv_fds(self._control, 65536, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            event = json.loads(data)
            if event["ev"] == "tunnel":
                (self._tunnel,) = fds
            else:
                self._heard(event, [socket.socket(fileno=fd) for fd in fds])

    def _heard(self, event: dict[str, Any], listeners: list[socket.socket]) -> None:
        if event["ev"] == "ready":
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            return
        kept = self._kept.get(event["id"])
        if kept is None:
            for each in listeners:
                each.close()
            return
        if event["ev"] == "started":
            kept.started(event["pid"])
            return
        if event["ev"] == "companion":
            kept.companion_ended(event["name"], event["status"])
            return
        if event["ev"] == "specialised":
            kept.specialised()
            return
        if event["ev"] == "listening":
            kept.listening(listeners[0])
            return
        del self._kept[event["id"]]
        if event["ev"] == "exited":
            kept.exited(event["status"], event["maxrss"])
        else:
            kept.failed(event["error"])

    def _lost(self) -> None:
        control, self._control = self._control, None
        if control is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(control.fileno())
        loop.remove_writer(control.fileno())
        control.close()
        for _, fds in self._outbox:
            for fd in fds:
                os.close(fd)
        self._outbox.clear()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(KeeperGone("the keeper of function instances did not start"))
        kept, self._kept = self._kept, {}
        for each in kept.values():
            each.exited(-1, 0)
