"""The first process of a component's cell: it fences itself in, then starts the component's programs and reaps.

Its line is a socket (SOCK_SEQPACKET); it ends when that does, and the kernel then ends whatever is left in the cell.
What comes is ``marshal``, what goes is text, for the core trusts nothing that comes out of a cell:

- the first message, whatever it is, lets it begin: it is within its limits by then. It answers ``ready``, or
  ``refused NUMBER WHY``, and has ended;
- ``{"id", "command", "folder", "environment"}`` and a descriptor for what it says starts a program, in a process group
  of its own: ``begun ID``, or ``failed ID NUMBER WHY``; later ``ended ID STATUS``, as ``subprocess`` has it;
- ``{"id", "signal"}``: for a program's group, which is forgotten after SIGKILL;
- ``{"leave": True}``: SIGTERM for whatever there is; ends with the last of them. ``{"leave": False}``: ends where
  nobody is in it, else answers ``left``.
"""

from __future__ import annotations

import marshal
import os
import resource
import select

from . import first, kernel, landlock, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from typing import Any, NoReturn
else:
    import _signal as signal

DEAF = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # to what is meant for everybody on the device: the core decides
AS_IT_WAS = (*DEAF, signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores the last two


class Ground:
    """What is the same for all cells: the core's user and group, the version of Landlock, the filter of calls."""

    def __init__(self, version: int) -> None:
        self.user = os.geteuid(), os.getegid()
        self.version = version
        self.calls = seccomp.program()


def be(line: int, plan: dict[str, Any], ground: Ground) -> NoReturn:
    """Straight from the clone."""
    try:
        kernel.die_with_parent()
        first.leave_if_alone(line)
        first.close_all_but(line)
        first.hear(line)
        _confine(plan, ground)
        _Holder(line).serve()
    except OSError as problem:
        first.tell(line, b"refused " + first.worded(problem))
    finally:
        os._exit(0)


def _confine(plan: dict[str, Any], ground: Ground) -> None:
    kernel.map_user(*ground.user, inside=ground.user)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = plan["processes"] if hard == resource.RLIM_INFINITY else min(plan["processes"], hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    rules = _rules(plan, landlock.rights(ground.version))
    first.give_up(ground.calls, lambda: landlock.fence(ground.version, rules))
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")  # nobody in here looks into us


def beside(hidden: list[str], folder: str = "/") -> Iterator[str]:
    """The largest files and folders without anything hidden in them. A link is none: what it leads to counts."""
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.path in hidden:
            continue
        if any(each.startswith(f"{entry.path}/") for each in hidden):
            yield from beside(hidden, entry.path)
        else:
            yield entry.path


def _rules(plan: dict[str, Any], everything: int) -> list[tuple[str, int]]:
    """What is allowed beneath which path. Raises OSError."""
    for each in plan["own"]:
        os.stat(each)  # noqa: PTH116
    hidden = [os.path.realpath(each) for each in plan["hidden"]]
    rules = [(path, everything) for path in (*beside(hidden), *plan["own"])]
    return rules + [(path, landlock.READING) for path in plan["read"] if os.path.exists(path)]  # noqa: PTH110


class _Holder:
    def __init__(self, line: int) -> None:
        self._line = line
        self._numbers: dict[int, int] = {}  # of programs that run, by their process
        self._groups: dict[int, int] = {}  # by the program's number, until SIGKILL
        self._leaving = False

    def serve(self) -> None:
        wakeup = first.woken_by_ends()
        first.tell(self._line, b"ready")
        while True:
            for pid, status in first.ends():
                if pid in self._numbers:
                    how = os.waitstatus_to_exitcode(status)
                    first.tell(self._line, b"ended %d %d" % (self._numbers.pop(pid), how))
            if self._leaving and _alone():
                return
            ready, _, _ = select.select([self._line, wakeup], [], [])
            if wakeup in ready:
                os.read(wakeup, 4096)
            if self._line in ready:
                self._obey(*first.hear(self._line))

    def _obey(self, data: bytes, fds: list[int]) -> None:
        order = marshal.loads(data)  # noqa: S302 - the core's own
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
            first.tell(self._line, b"left")

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
            first.tell(self._line, b"failed %d " % number + first.worded(problem))
            return
        if child == 0:
            _become(order, words, writing)
        os.close(writing)
        why = os.read(reading, 4096)  # nothing: it has executed, in a group of its own
        os.close(reading)
        if why:
            os.waitpid(child, 0)
            first.tell(self._line, b"failed %d " % number + why)
            return
        self._numbers[child], self._groups[number] = number, child
        first.tell(self._line, b"begun %d" % number)


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
        os.write(complaints, first.worded(problem))
    finally:
        os._exit(127)


def _signal_group(group: int, number: int) -> None:
    try:
        os.kill(group, number)
    except ProcessLookupError:
        return


def _alone() -> bool:
    """Whether nobody else is in here: every orphan is a child of ours."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
