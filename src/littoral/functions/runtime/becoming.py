"""What a forked child of the keeper turns into: a Python instance, a program, or a program beside an instance.

Standard library only; runs in the child, where nothing may return to the keeper's loop.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

from . import bootstrap, child

MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "arm64", 243: "riscv"}  # ELF's numbers


def become(parent: int, message: dict[str, Any], fds: list[int]) -> None:
    """In the child: turn into the instance. Never returns."""
    code = 1
    try:
        child.contain(parent, message["cell"])
        child.wire(*fds)
        if message.get("folder"):
            os.chdir(message["folder"])
        if message["op"] == "exec":
            os.set_inheritable(child.CONNECTION, True)
            if len(fds) > 2:
                os.set_inheritable(child.MAILBOX, True)
            execute(message["argv"], message["env"])
        held = socket.socket(fileno=child.CONNECTION)  # open until the exit, so that its status comes first
        code = bootstrap.serve(held, message["spec"], child.MAILBOX if len(fds) > 2 else None)
    except BaseException as error:  # noqa: BLE001 - a child must never fall back into the keeper's loop
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def execute(argv: list[str], env: dict[str, str]) -> None:
    """Never returns. A program that cannot be executed is told in AWS's words, as a frame and in the log."""
    try:
        os.execve(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        words = f"fork/exec {argv[0]}: {os.strerror(error.errno or 0).lower()}"
        os.write(2, f"[littoral] {words}{built_for(argv[0])}\n".encode())
        frame = b"N" + words.encode()
        os.write(child.CONNECTION, len(frame).to_bytes(4, "big") + frame)
        os._exit(1)


def built_for(path: str) -> str:
    """Of a native program: the processor that it is for (ELF: e_machine)."""
    with contextlib.suppress(OSError), open(path, "rb") as program:  # noqa: PTH123
        head = program.read(20)
        if head[:4] == b"\x7fELF" and len(head) == 20:
            number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
            kind = MACHINES.get(number, f"processor {number}")
            return f" (built for {kind}; this machine is {os.uname().machine})"
    return ""


def attend(path: str, message: dict[str, Any], log: int) -> None:
    """In the child: turn into a program beside the instance. Never returns."""
    try:
        child.contain(1, message["cell"])
        child.wire(log, log)
        os.close(child.CONNECTION)
        os.chdir("/")
        os.execve(path, [path], message["beside"]["env"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001 - as in `become`
        with contextlib.suppress(OSError):
            os.write(2, f"{path}: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(126)
