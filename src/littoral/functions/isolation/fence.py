"""The programs of one component: they see all that the place's user sees but a few folders, and no process but theirs.

Usage: ``python -I -S fence.py PLAN``, a JSON object: ``hidden`` (folders and files), ``own`` (folders in them that are
the component's), ``read`` (what of them it may read and execute). Standard input is a socket (SOCK_SEQPACKET):

- the first message lets it begin: it is within its limits by then. It answers ``{"ready": true}``;
- ``{"id", "command", "folder", "environment"}`` and a descriptor for what it says starts a program, in a process group
  of its own: ``{"begun": id}``, or ``{"failed": id, "errno", "why"}``; later ``{"ended": id, "status"}``, as
  ``subprocess`` has it;
- ``{"id", "signal"}``: for a program's group, which is forgotten after SIGKILL;
- ``{"leave": true}``: SIGTERM for whatever there is; ends with the last of them. ``{"leave": false}``: ends where
  nobody is in it, else answers ``{"left": false}``.

Two processes: whoever is started here waits; **init**, the first of a pid namespace, reaps, and its end is the end of
all. It ends when the socket does. User and IPC namespace are its own, too; the mount namespace only for the sake of
its /proc. Everything is given up before the first program starts (``first.give_up``, as functions do).

Landlock allows and does not forbid: so what is allowed is everything beside the way to what is hidden. On that way
itself nothing can be listed or made; what others make there later is not seen. No abstract sockets beyond the fence.
Ends with status 70 and one line where that cannot be had: nothing runs without.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from littoral.functions.isolation import first, kernel, landlock, seccomp
else:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    from isolation import first, kernel, landlock, seccomp

REFUSED = 70  # EX_SOFTWARE of sysexits.h
NAMESPACES = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC
DEAF = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # to what is meant for everybody on the device: the core decides
AS_IT_WAS = (*DEAF, signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores the last two


def beside(hidden: list[str], folder: str = "/") -> Iterator[str]:
    """The largest files and folders without anything hidden in them. A link is none: what it leads to counts."""
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.path in hidden:
            continue
        if any(each.startswith(f"{entry.path}/") for each in hidden):
            yield from beside(hidden, entry.path)
        else:
            yield entry.path


def launch(plan: dict[str, list[str]]) -> int:
    """The status to end with. Raises OSError."""
    line = os.dup(0)
    first.hear(line)
    version = landlock.abi()
    if not landlock.scopes(version):
        raise OSError(38, f"Landlock of this kernel (ABI {version}) fences in no abstract sockets: Linux 6.12 does")
    kernel.prepare()
    for number in DEAF:
        signal.signal(number, signal.SIG_IGN)
    user = os.geteuid(), os.getegid()
    kernel.die_with_parent()
    first.leave_if_alone(line)
    child = kernel.clone(NAMESPACES)
    if child == 0:
        _be_init(line, user, version, plan)
    first.close_all_but()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _be_init(line: int, user: tuple[int, int], version: int, plan: dict[str, list[str]]) -> NoReturn:
    try:
        kernel.die_with_parent()
        first.leave_if_alone(line)
        kernel.map_user(*user, inside=user)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        rules = _rules(plan, landlock.rights(version))
        first.give_up(seccomp.program(), partial(landlock.fence, version, rules))
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")  # nobody in here looks into us
    except OSError as problem:
        _complain(problem)
        os._exit(REFUSED)
    try:
        first.close_all_but(line)
        _Init(line).serve()
    finally:
        os._exit(0)


def _rules(plan: dict[str, list[str]], everything: int) -> list[tuple[str, int]]:
    """What is allowed beneath which path. Raises OSError."""
    for each in plan["own"]:
        os.stat(each)  # noqa: PTH116
    hidden = [os.path.realpath(each) for each in plan["hidden"]]
    rules = [(path, everything) for path in (*beside(hidden), *plan["own"])]
    return rules + [(path, landlock.READING) for path in plan["read"] if os.path.exists(path)]  # noqa: PTH110


class _Init:
    def __init__(self, line: int) -> None:
        self._line = line
        self._numbers: dict[int, int] = {}  # of programs that run, by their process
        self._groups: dict[int, int] = {}  # by the program's number, until SIGKILL
        self._leaving = False

    def serve(self) -> None:
        wakeup = first.woken_by_ends()
        self._tell({"ready": True})
        while True:
            for pid, status in first.ends():
                if pid in self._numbers:
                    self._tell({"ended": self._numbers.pop(pid), "status": os.waitstatus_to_exitcode(status)})
            if self._leaving and _alone():
                return
            ready, _, _ = select.select([self._line, wakeup], [], [])
            if wakeup in ready:
                os.read(wakeup, 4096)
            if self._line in ready:
                self._obey(*first.hear(self._line))

    def _obey(self, data: bytes, fds: list[int]) -> None:
        order = json.loads(data)
        if "command" in order:
            self._begin(order, fds[0])
            os.close(fds[0])
        elif "signal" in order:
            self._signal(order["id"], order["signal"])
        elif order["leave"]:
            self._leaving = True
            _signal_group(-1, signal.SIGTERM)
        elif _alone():
            os._exit(0)
        else:
            self._tell({"left": False})

    def _signal(self, number: int, wanted: int) -> None:
        if number in self._groups:
            _signal_group(-self._groups[number], wanted)
        if wanted == signal.SIGKILL:
            self._groups.pop(number, None)

    def _begin(self, order: dict[str, Any], words: int) -> None:
        number = order["id"]
        reading, writing = os.pipe()
        try:
            child = os.fork()
        except OSError as problem:
            os.close(reading)
            os.close(writing)
            self._tell({"failed": number, "errno": problem.errno, "why": str(problem)})
            return
        if child == 0:
            _become(order, words, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            why = pipe.read()  # nothing: it has executed, in a group of its own
        if why:
            os.waitpid(child, 0)
            self._tell({"failed": number, **json.loads(why)})
            return
        self._numbers[child], self._groups[number] = number, child
        self._tell({"begun": number})

    def _tell(self, word: dict[str, Any]) -> None:
        first.tell(self._line, json.dumps(word).encode())


def _become(order: dict[str, Any], words: int, complaints: int) -> NoReturn:
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in AS_IT_WAS:
            signal.signal(number, signal.SIG_DFL)
        for fd in (1, 2):
            os.dup2(words, fd)
        os.close(words)
        os.chdir(order["folder"])
        os.execve(order["command"][0], order["command"], order["environment"])  # noqa: S606
    except OSError as problem:
        os.write(complaints, json.dumps({"errno": problem.errno, "why": str(problem)}).encode())
    finally:
        os._exit(127)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(group, number)


def _alone() -> bool:
    """Whether nobody else is in here: every orphan is a child of ours."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _complain(problem: OSError) -> None:
    print(f"the sandbox of components cannot be made: {problem}; see littoral doctor", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(launch(json.loads(sys.argv[1])))
    except OSError as problem:
        _complain(problem)
        sys.exit(REFUSED)
