"""What the kernel should be told before a place faces the network: advice for ``littoral doctor``, never a refusal.

Owns: the list and what each is good for. The kernel completes handshakes and keeps queues before a listener hears of
anybody.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from littoral.site.settings import Settings

SPARE = 2_000  # descriptors for origins, functions and the store
KERNEL = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Advice:
    """``good`` is None where it cannot be known here."""

    name: str
    good: bool | None
    detail: str


def advise(settings: Settings, kernel: Path = KERNEL) -> list[Advice]:
    cookies = _number(kernel / "ipv4/tcp_syncookies")
    queue = _number(kernel / "core/somaxconn")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = settings.edge_connections + SPARE
    return [
        Advice(
            "SYN cookies",
            None if cookies is None else cookies > 0,
            "a SYN flood leaves no state" if cookies else "set net.ipv4.tcp_syncookies=1 against SYN floods",
        ),
        Advice(
            "listen queue",
            None if queue is None else queue >= settings.edge_backlog,
            f"net.core.somaxconn is {queue}, edge_backlog {settings.edge_backlog}",
        ),
        Advice(
            "open files",
            files == resource.RLIM_INFINITY or files >= needed,
            f"ulimit -n is {files}, {needed} are good for {settings.edge_connections} connections to the edge",
        ),
    ]


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
