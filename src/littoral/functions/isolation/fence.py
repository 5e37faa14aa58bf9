"""A program of the place's user that sees all that this user sees but a few folders: for components of a core.

Usage: ``python -I -S fence.py PLAN PROGRAM ARGUMENT…``, the plan a JSON object: ``hidden`` (folders and files), ``own``
(folders in them that are the program's), ``read`` (what of them it may read and execute).

Landlock allows and does not forbid: so what is allowed is everything beside the way to what is hidden. On that way
itself nothing can be listed or made; what others make there later is not seen. No signals, no tracing and no abstract
sockets beyond the fence; a user namespace keeps other processes' environments out of sight. It is killed when whoever
started it is gone. Ends with status 70 and one line where that cannot be had: nothing runs without.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from littoral.functions.isolation import kernel, landlock
else:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    from isolation import kernel, landlock

REFUSED = 70  # EX_SOFTWARE of sysexits.h


def beside(hidden: list[str], folder: str = "/") -> Iterator[str]:
    """The largest files and folders without anything hidden in them. A link is none: what it leads to counts."""
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.path in hidden:
            continue
        if any(each.startswith(f"{entry.path}/") for each in hidden):
            yield from beside(hidden, entry.path)
        else:
            yield entry.path


def enter(plan: dict[str, list[str]], command: list[str]) -> None:
    """Never returns unless something fails (OSError)."""
    version = landlock.abi()
    if not landlock.scopes(version):
        raise OSError(38, f"Landlock of this kernel (ABI {version}) fences in no signals: Linux 6.12 does")
    everything = landlock.rights(version)
    for each in plan["own"]:
        os.stat(each)  # noqa: PTH116
    hidden = [os.path.realpath(each) for each in plan["hidden"]]
    rules = [(path, everything) for path in (*beside(hidden), *plan["own"])]
    rules += [(path, landlock.READING) for path in plan["read"] if os.path.exists(path)]  # noqa: PTH110
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)  # and so no look into others' environments in /proc, where their tokens are
    kernel.map_user(uid, gid, inside=(uid, gid))
    kernel.no_new_privileges()
    landlock.fence(version, rules)
    kernel.die_with_parent()  # last: a change of credentials would forget it
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    try:
        enter(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as problem:
        print(f"the sandbox of components cannot be made: {problem}; see littoral doctor", file=sys.stderr)
        sys.exit(REFUSED)
