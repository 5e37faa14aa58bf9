"""What a function sees and may do: the code of the function that ``doctor`` runs. Standard library only, for it runs
as a function's own file, in its cell; it tries what it says instead of reading what was meant."""

from __future__ import annotations

import os
import resource
import socket
from typing import Any

NAMESPACES = ("user", "mnt", "pid", "ipc", "uts", "net")
STATUS = ("NoNewPrivs", "CapEff", "CapPrm", "CapBnd", "Seccomp", "Seccomp_filters")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """``event``: ``abstract``, the name of an abstract socket outside, and ``outside``, files of the place."""
    space = os.statvfs("/tmp")  # noqa: S108 - Lambda's
    return {
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},  # noqa: PTH115
        "status": _status(),
        "user": [os.getuid(), os.getgid()],
        "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
        "groups": _lines("/proc/self/cgroup"),
        "tmp": space.f_blocks * space.f_frsize,
        "seen": [path for path in event["outside"] if os.path.exists(path)],  # noqa: PTH110
        "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),  # noqa: PTH208
        "writes": {path: _refusal(lambda path=path: _write(path)) for path in ("/var/task", "/var/runtime", "/usr")},
        "own process": _refusal(lambda: _open("/proc/self/coredump_filter")),  # what Landlock alone forbids
        "abstract": _refusal(lambda: _connect(event["abstract"])),
    }


def _status() -> dict[str, str]:
    pairs = (line.split(":", 1) for line in _lines("/proc/self/status"))
    return {name: text.strip() for name, text in pairs if name in STATUS}


def _refusal(attempt: Any) -> str | None:
    """The name of the error that an attempt met; None when it succeeded."""
    try:
        attempt()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return None


def _write(folder: str) -> None:
    path = f"{folder}/littoral-doctor"
    with open(path, "w"):  # noqa: PTH123
        os.unlink(path)  # noqa: PTH108


def _open(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def _connect(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"\0{name}")


def _lines(path: str) -> list[str]:
    with open(path) as file:  # noqa: PTH123
        return file.read().splitlines()
