"""The keeper of function instances: a small process of one thread that forks Python instances and starts others.

Usage: ``python -I -S zygote.py CONTROL_FD PREPARED|bare [PATH_TO_PRELOAD_BOTO3_FROM]``

It exists for three reasons. A fork of it has Python booted and the common modules imported, so an instance costs a
few milliseconds. It is the parent, so it alone may kill and reap instances without racing against reused process
ids. And its end of the control socket dies with the place, even on ``kill -9``: on end of file it kills all it kept.

Control messages are JSON, one per packet (SOCK_SEQPACKET), descriptors beside them::

    place → keeper   {"op": "fork", "id": 1, "cell": {…}, "spec": {…}}   + [socket, log, mailbox]
                     {"op": "exec", "id": 2, "cell": {…}, "argv": […], "env": {…}, "folder": "/…"}   + the same, or two
                     {"op": "specialise", "id": 2, "cell": {…}}   {"op": "kill", "id": 1}
                     {"op": "terminate", "id": 1}
    keeper → place   {"ev": "ready"}   {"ev": "started", "id": 1, "pid": 77}   {"ev": "specialised", "id": 2}
                     {"ev": "companion", "id": 1, "name": "…", "status": 9}   a program beside it ended
                     {"ev": "listening", "id": 2}   + [listener in the cell's own network]
                     {"ev": "failed", "id": 1, "error": "…"}   {"ev": "exited", "id": 1, "status": 9, "maxrss": KiB}

``cell`` says what an instance has: ``task`` and ``opt`` (folders of code), ``tmp`` and ``data`` (bytes), ``network``
(false: none) and ``listen`` (the port of its Runtime API where it has none), ``host`` (which of a training job's it
is), see ``isolation/cell.py``. With ``bare``
(the operator said ``--insecure-no-sandbox``) an instance is a plain child process: it is a subreaper, so while it lives
its orphans are its own; when it is gone they come here, and every child that the keeper does not know is such an orphan
and is killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import itertools
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from littoral.functions.isolation import cell, kernel
    from littoral.functions.runtime import becoming, child, preloads
else:

    def _package(name: str) -> None:
        """Make a folder of ours a package, under a name that a function's own modules cannot collide with."""
        folder = Path(__file__).parents[1] / name
        spec = importlib.util.spec_from_file_location(
            f"_littoral_{name}", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)

    _package("isolation")
    _package("runtime")
    from _littoral_isolation import cell, kernel
    from _littoral_runtime import becoming, child, preloads

MAX_MESSAGE = 1 << 18
QUIET = 5  # ms without a message before another is prepared
CHILDREN = "/proc/self/task/{tid}/children"


class Made(NamedTuple):
    """A process of ours."""

    pid: int
    lifeline: int  # our end of the socket to it
    label: str  # of its control group


class Keeper:
    def __init__(self, control: socket.socket, prepared: int | None) -> None:
        """``prepared``: how many cells wait for the next cold starts; None: instances have no cells."""
        self.control = control
        self.cells = prepared is not None
        self.most = prepared or 0
        self.who = (os.geteuid(), os.getegid())
        self.pids: dict[int, int] = {}  # instance id → process id
        self.ids: dict[int, int] = {}  # process id → instance id
        self.lifelines: dict[int, int] = {}  # instance id → our end of the socket to its init
        self.instances: dict[int, int] = {}  # and back
        self.words: dict[int, bytes] = {}  # instance id → what its init said last
        self.labels: dict[int, str] = {}  # instance id → name of its control group
        self.prepared: list[Made] = []
        self.wanted = self.most  # how many cells are kept prepared
        self.serials = itertools.count(1)
        self.poll = select.poll()
        self.wakeup, self._wakeup_in = os.pipe()

    def run(self) -> None:
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self._wakeup_in, False)
        signal.set_wakeup_fd(self._wakeup_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.poll.register(self.control, select.POLLIN)
        self.poll.register(self.wakeup, select.POLLIN)
        self.tell({"ev": "ready"})
        while True:
            short = len(self.prepared) < self.wanted
            happened = self.poll.poll(QUIET if short else None)
            if short and not happened:
                self.replenish()
            for fd, _ in happened:
                if fd == self.wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                    self.reap()
                elif fd in self.instances:
                    self.hear(self.instances[fd])
                elif fd == self.control.fileno() and not self.listen():
                    return

    def tell(self, event: dict[str, Any], fds: list[int] | None = None) -> None:
        """``fds`` go with it, and are then closed here."""
        with contextlib.suppress(OSError):  # the place is gone; the end of file follows
            socket.send_fds(self.control, [json.dumps(event).encode()], fds or [])
        for fd in fds or []:
            os.close(fd)

    def listen(self) -> bool:
        """Do what one message asks; False at the end of file."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, MAX_MESSAGE, 4)
        except ConnectionResetError:
            return False
        if not data:
            return False
        message = json.loads(data)
        number = message["id"]
        if message["op"] in ("fork", "exec"):
            self.start(number, message, fds)
        elif message["op"] == "kill":
            self.kill(self.pids.get(number))
        elif message["op"] == "terminate" and number in self.pids:
            self.terminate(number)
        elif message["op"] == "specialise" and number in self.pids:
            self.specialise(number, message["cell"])
        return True

    def start(self, number: int, message: dict[str, Any], fds: list[int]) -> None:
        try:
            made = self.embody(message, fds) if self.cells else self.fork(message, fds)
        except OSError as error:  # out of processes or memory
            self.tell({"ev": "failed", "id": number, "error": error.strerror})
        else:
            self.pids[number], self.ids[made.pid] = made.pid, number
            self.lifelines[number], self.instances[made.lifeline] = made.lifeline, number
            self.labels[number] = made.label
            self.poll.register(made.lifeline, select.POLLIN)
            self.tell({"ev": "started", "id": number, "pid": made.pid})
        for fd in fds:
            os.close(fd)

    def embody(self, message: dict[str, Any], fds: list[int]) -> Made:
        """Give the message to a cell that was prepared, or to a new one. Raises OSError."""
        body = json.dumps({key: value for key, value in message.items() if key != "id"}).encode()
        network, host = message["cell"].get("network", True), message["cell"].get("host")
        while self.prepared and network and not host:
            made = self.prepared.pop(0)
            try:
                send(made.lifeline, body, fds)
            except OSError:  # it died; its exit is nobody's
                os.close(made.lifeline)
                cell.forget(made.label)
                continue
            return made
        made = self.prepare(network=network, host=host)
        send(made.lifeline, body, fds)
        return made

    def prepare(self, *, network: bool = True, host: str | None = None) -> Made:
        """A cell without anything in it. Raises OSError."""
        ours, theirs = pair()
        label = f"i{next(self.serials)}"
        pid = kernel.clone(cell.NAMESPACES | (0 if network else kernel.CLONE_NEWNET))
        if pid == 0:
            self.forget(ours)
            cell.init(
                self.who,
                theirs,
                label,
                lambda message, fds: becoming.become(1, message, fds),
                becoming.attend,
                network=network,
                host=host,
            )
        os.close(theirs)
        return Made(pid, ours, label)

    def fork(self, message: dict[str, Any], fds: list[int]) -> Made:
        """A bare instance. Raises OSError."""
        keeper = os.getpid()
        ours, theirs = pair()
        pid = os.fork()
        if pid == 0:
            self.forget(ours)
            child.become_subreaper()
            becoming.become(keeper, message, fds)
        os.close(theirs)
        return Made(pid, ours, "")

    def replenish(self) -> None:
        """In a quiet moment: a cell more for the next cold start."""
        try:
            self.prepared.append(self.prepare())
        except OSError:  # no memory or processes now; the next start will say so if it is still true
            self.wanted = 0

    def forget(self, ours: int) -> None:
        """In the child: what is the keeper's alone."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.control.close()
        for fd in (ours, self.wakeup, self._wakeup_in, *self.instances, *(each.lifeline for each in self.prepared)):
            os.close(fd)

    def specialise(self, number: int, made: dict[str, Any]) -> None:
        """Tell a spare what it is to be; its init answers, see ``hear``."""
        if self.cells:
            with contextlib.suppress(OSError):  # it is dead: its exit says so
                send(self.lifelines[number], json.dumps({"cell": made}).encode(), [])
            return
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.pids[number], resource.RLIMIT_DATA, (made["data"], made["data"]))
        self.tell({"ev": "specialised", "id": number})

    def terminate(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it is dead: its exit says so
            if self.cells:
                send(self.lifelines[number], b"{}", [])
            else:
                os.kill(self.pids[number], signal.SIGTERM)

    def hear(self, number: int) -> bool:
        """What an instance's init has to say; False when that was all for now."""
        fd = self.lifelines[number]
        fds: list[int] = []
        try:
            with socket.socket(fileno=os.dup(fd)) as line:
                word, fds, _, _ = socket.recv_fds(line, 4096, 1)
        except BlockingIOError:
            return False
        except OSError:
            word = b""
        if word[:1] == b"R":
            self.tell({"ev": "specialised", "id": number})
        elif word[:1] == b"X":
            name, status = json.loads(word[1:])
            self.tell({"ev": "companion", "id": number, "name": name, "status": status})
        elif word[:1] == b"L":
            self.tell({"ev": "listening", "id": number}, fds)
        elif word:
            self.words[number] = word
        elif self.instances.pop(fd, None) is not None:
            self.poll.unregister(fd)
        return bool(word)

    def kill(self, pid: int | None) -> None:
        if pid is None:
            return
        # All of a cell dies with its init. A bare instance's group is not there until the child has made it.
        for send in (os.kill,) if self.cells else (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                send(pid, signal.SIGKILL)

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                self.sweep()
                return
            number = self.ids.pop(pid, None)
            if number is not None:
                del self.pids[number]
                if not self.cells:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)  # what it forked and left in its group
                self.ended(number, status, usage.ru_maxrss)

    def ended(self, number: int, status: int, peak: int) -> None:
        """``status`` and ``peak`` (KiB) are the init's, and those of what it waited for."""
        while self.hear(number):  # its last words
            continue
        fd = self.lifelines.pop(number)
        if self.instances.pop(fd, None) is not None:
            self.poll.unregister(fd)
        os.close(fd)
        if self.cells:
            cell.forget(self.labels[number])
            self.wanted = self.most
        del self.labels[number]
        word = self.words.pop(number, b"")
        if word[:1] == b"E":
            self.tell({"ev": "failed", "id": number, "error": word[1:].decode("utf-8", "replace")})
            return
        if word[:1] == b"S":
            status = cell.STATUS.unpack(word)[1]
        self.tell({"ev": "exited", "id": number, "status": status, "maxrss": peak})

    def sweep(self) -> None:
        """Kill orphans of instances that are gone: children that are not ours by number."""
        if self.cells:
            return
        try:
            listed = Path(CHILDREN.format(tid=os.getpid())).read_text()
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN: the process group must do
            return
        for word in listed.split():
            if int(word) not in self.ids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(word), signal.SIGKILL)

    def end(self, patience: float = 5.0) -> None:
        """Kill everything and wait until it is gone."""
        for pid in [*self.ids, *(each.pid for each in self.prepared)]:
            self.kill(pid)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                self.sweep()
                time.sleep(0.002)
            self.ids.pop(pid, None)


def pair() -> tuple[int, int]:
    """Our end, which does not block, and theirs."""
    ours, theirs = (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    os.set_blocking(ours, False)
    return ours, theirs


def send(lifeline: int, body: bytes, fds: list[int]) -> None:
    with socket.socket(fileno=os.dup(lifeline)) as line:
        socket.send_fds(line, [body], fds)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    child.become_subreaper()
    preloads.preload(preloads.COMMON)
    prepared = None if sys.argv[2] == "bare" else int(sys.argv[2])
    if prepared is not None:
        cell.prepare()
    if len(sys.argv) > 3:
        sys.path.insert(0, sys.argv[3])
        preloads.preload(preloads.BOTO)
        sys.path.remove(sys.argv[3])
    sys.dont_write_bytecode = True  # code folders are shared by instances and read-only by promise
    gc.collect()
    gc.freeze()  # the collector does not touch, and so copy, the pages that instances share
    keeper = Keeper(control, prepared)
    try:
        keeper.run()
    finally:
        keeper.end()  # children never come here: `become` exits


if __name__ == "__main__":
    main()
