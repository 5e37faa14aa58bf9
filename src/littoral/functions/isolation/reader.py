"""A program that reads programs and libraries and nothing else: for the processes in which models work.

Usage: ``python -I -S reader.py PLAN PROGRAM ARGUMENT…``, the plan a JSON object: ``read`` (files and folders that it
may read and execute), ``use`` (devices that it may also write).

It sees no other file and writes none, has no network (a namespace without any), sends no signals beyond itself, looks
into no process, and is killed when whoever started it is gone; what it works on it gets by the descriptors that it is
started with. Ends with status 70 and one line where that cannot be had: nothing runs without.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from littoral.functions.isolation import kernel, landlock, seccomp
else:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    from isolation import kernel, landlock, seccomp

REFUSED = 70  # EX_SOFTWARE of sysexits.h


def enter(plan: dict[str, list[str]], command: list[str]) -> None:
    """Never returns unless something fails (OSError)."""
    version = landlock.abi()
    if version < 1:
        raise OSError(38, "Landlock is not there (Linux 5.13, enabled by lsm=landlock,…)")
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC)
    kernel.map_user(uid, gid, inside=(uid, gid))
    kernel.no_new_privileges()
    used = landlock.READ_FILE | landlock.WRITE_FILE | landlock.IOCTL_DEV
    rules = [(path, landlock.READING) for path in plan["read"]] + [(path, used) for path in plan["use"]]
    landlock.fence(version, rules)
    kernel.drop_capabilities()
    kernel.set_seccomp(seccomp.program(memory_is_counted=False))
    kernel.die_with_parent()  # last: a change of credentials would forget it
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    try:
        enter(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as problem:
        print(f"the sandbox of models cannot be made: {problem}; see littoral doctor", file=sys.stderr)
        sys.exit(REFUSED)
