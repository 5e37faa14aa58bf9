"""The keeper of function instances: a small process of one thread that forks Python instances and starts others.

Usage: ``python -I -S zygote.py CONTROL_FD [PATH_TO_PRELOAD_BOTO3_FROM]``

It exists for three reasons. A fork of it has Python booted and the common modules imported, so an instance costs a
millisecond or two. It is the parent, so it alone may kill and reap instances without racing against reused process
ids. And its end of the control socket dies with the place, even on ``kill -9``: on end of file it kills all it kept.

Control messages are JSON, one per packet (SOCK_SEQPACKET), descriptors beside them::

    place → keeper   {"op": "fork", "id": 1, "spec": {…}}   + [socket, log]
                     {"op": "exec", "id": 2, "argv": […], "env": {…}, "limits": {…}}   + [socket, log]
                     {"op": "limit", "id": 2, "data": bytes}   {"op": "kill", "id": 1}
    keeper → place   {"ev": "ready"}   {"ev": "started", "id": 1, "pid": 77}
                     {"ev": "failed", "id": 1, "error": "…"}   {"ev": "exited", "id": 1, "status": 9, "maxrss": KiB}

Every instance is a subreaper, so while it lives its orphans are its own; when it is gone they come here, and every
child that the keeper does not know is such an orphan and is killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from littoral.functions.runtime import bootstrap, child
else:

    def _beside(name: str) -> Any:
        """Load a sibling under a name that a function's own module cannot collide with."""
        spec = importlib.util.spec_from_file_location(f"_littoral_{name}", Path(__file__).with_name(f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    child, bootstrap = _beside("child"), _beside("bootstrap")

# What most functions import; each is then free at cold start.
COMMON = (
    "asyncio",
    "base64",
    "collections",
    "concurrent.futures",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "enum",
    "fractions",
    "functools",
    "gzip",
    "hashlib",
    "hmac",
    "html",
    "http.client",
    "inspect",
    "io",
    "itertools",
    "logging",
    "logging.config",
    "math",
    "operator",
    "pathlib",
    "pickle",
    "queue",
    "random",
    "re",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib.error",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
    "zipfile",
    "zlib",
    "zoneinfo",
)
BOTO = ("boto3", "botocore.client", "botocore.endpoint", "botocore.httpsession", "botocore.signers", "s3transfer")

MAX_MESSAGE = 1 << 18
CHILDREN = "/proc/self/task/{tid}/children"


class Keeper:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.pids: dict[int, int] = {}  # instance id → process id
        self.ids: dict[int, int] = {}  # process id → instance id
        self.wakeup, self._wakeup_in = os.pipe()

    def run(self) -> None:
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self._wakeup_in, False)
        signal.set_wakeup_fd(self._wakeup_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        self.tell({"ev": "ready"})
        while True:
            for fd, _ in poll.poll():
                if fd == self.wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                    self.reap()
                elif not self.listen():
                    return

    def tell(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the place is gone; the end of file follows
            self.control.send(json.dumps(event).encode())

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
        elif message["op"] == "limit" and number in self.pids:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(self.pids[number], resource.RLIMIT_DATA, (message["data"], message["data"]))
        return True

    def start(self, number: int, message: dict[str, Any], fds: list[int]) -> None:
        keeper = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # out of processes or memory
            self.tell({"ev": "failed", "id": number, "error": str(error)})
        else:
            if pid == 0:
                self.control.close()
                os.close(self.wakeup)
                os.close(self._wakeup_in)
                become(keeper, message, fds)
            self.pids[number], self.ids[pid] = pid, number
            self.tell({"ev": "started", "id": number, "pid": pid})
        for fd in fds:
            os.close(fd)

    def kill(self, pid: int | None) -> None:
        if pid is None:
            return
        for send in (os.killpg, os.kill):  # the group is not there until the child has made it
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
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # what it forked and left in its group
                self.tell({"ev": "exited", "id": number, "status": status, "maxrss": usage.ru_maxrss})

    def sweep(self) -> None:
        """Kill orphans of instances that are gone: children that are not ours by number."""
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
        for pid in list(self.ids):
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


def become(keeper: int, message: dict[str, Any], fds: list[int]) -> None:
    """In the child: turn into the instance. Never returns."""
    code = 1
    try:
        connection, log = fds
        if log == 3:  # it must not be what the socket overwrites
            log = os.dup(log)
        if message["op"] == "fork":
            child.contain(keeper, message["spec"].get("limits", {}))
            child.wire(log)
            held = socket.socket(fileno=connection)  # open until the exit, so that its status comes first
            code = bootstrap.serve(held, message["spec"])
        else:
            child.contain(keeper, message.get("limits", {}))
            child.wire(log)
            if connection != 3:
                os.dup2(connection, 3)  # the number that node/bootstrap.js knows
                os.close(connection)
            os.set_inheritable(3, True)
            if message.get("folder"):
                os.chdir(message["folder"])
            os.execve(message["argv"][0], message["argv"], message["env"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001 - a child must never fall back into the keeper's loop
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def preload(names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # a Python built without it: the function will say so itself
            importlib.import_module(name)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    child.become_subreaper()
    preload(COMMON)
    if len(sys.argv) > 2:
        sys.path.insert(0, sys.argv[2])
        preload(BOTO)
        sys.path.remove(sys.argv[2])
    sys.dont_write_bytecode = True  # code folders are shared by instances and read-only by promise
    gc.collect()
    gc.freeze()  # the collector does not touch, and so copy, the pages that instances share
    keeper = Keeper(control)
    try:
        keeper.run()
    finally:
        keeper.end()  # children never come here: `become` exits


if __name__ == "__main__":
    main()
