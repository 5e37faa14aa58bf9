"""The processor that a function asks for, and the one that this machine has.

Interpreted code runs anywhere. What is native does not: the kernel refuses to execute a ``bootstrap`` for another
processor, and an interpreter to load such a library; both are told as AWS tells them. So a function for another
architecture is not refused (its code may have nothing native in it, or be meant for a core), but its log says so at
each cold start.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence

_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def of_machine() -> str:
    """In Lambda's word, where it has one."""
    machine = platform.machine().lower()
    return _NAMES.get(machine, machine)


def default() -> str:
    """Of a function that does not say: this machine's; AWS takes x86_64, as a machine does that is neither."""
    machine = of_machine()
    return machine if machine in _NAMES.values() else "x86_64"


def difference(architectures: Sequence[str]) -> str | None:
    """What its log says of a function that asks for another processor."""
    machine = of_machine()
    if machine in architectures:
        return None
    asked = ", ".join(architectures)
    return f"Architectures is {asked}, this machine is {machine}: what is native in the code and layers will not run"
