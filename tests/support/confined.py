"""What a function finds out about the cell that it is in; the same in a region, at an edge location, in a core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# For the source of a handler: ``facts(path)``, path being a folder that it must not see.
FACTS = """
import os, resource, socket
def facts(outside):
    with open("/proc/self/status") as file:
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    size = os.statvfs("/tmp")
    return {
        "capabilities": sorted({status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}),
        "new privileges": status["NoNewPrivs"] == "0",
        "seccomp": status["Seccomp"],
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:2],
        "host": socket.gethostname(),
        "user": os.getuid(),
        "seen": os.path.exists(outside),
        "writable": [name for name in ("/", "/var/task", "/opt", "/usr", "/var/runtime") if os.access(name, os.W_OK)],
        "tmp MB": size.f_blocks * size.f_frsize >> 20,
        "data MB": resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20,
        "threads": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    }
"""


def confined(outside: Path, *, memory: int, tmp: int) -> dict[str, Any]:
    """What they are to be, sizes in MB."""
    assert outside.exists()
    return {
        "capabilities": ["0000000000000000"],
        "new privileges": False,
        "seccomp": "2",
        "processes": [1, 2],
        "host": "littoral",
        "user": 993,
        "seen": False,
        "writable": [],
        "tmp MB": tmp,
        "data MB": memory + 96,
        "threads": 1024,
    }
