"""What a deployment allows a component of this device (``runWith``): its user, memory and processors.

The user is the core's own and no other. Where the site can make control groups (``Confine``) the limit of memory
counts for all processes of the component together, elsewhere for each (RLIMIT_DATA). Processors are whole ones
(affinity), a fraction is rounded up. The component's log says what is less than was asked for. Source: "Configure
system resource limits for components" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import pwd
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.core.recipe import BadComponent


@dataclass(frozen=True, slots=True)
class Limits:
    memory: int | None = None  # bytes
    cpus: float | None = None

    def __bool__(self) -> bool:
        return self.memory is not None or self.cpus is not None


Confine = Callable[[str, int, Limits], Limits]
"""Puts a process of the named component within limits that hold for all that it starts; what is left to be limited."""


def unconfined(_name: str, _process: int, limits: Limits) -> Limits:
    """No control groups here."""
    return limits


def limits_of(name: str, run_with: Mapping[str, Any]) -> Limits:
    """Raises BadComponent."""
    if unknown := set(run_with) - {"posixUser", "windowsUser", "systemResourceLimits"}:
        raise BadComponent(f"{name}: runWith has no {', '.join(sorted(unknown))}")
    given = run_with.get("systemResourceLimits") or {}
    if not isinstance(given, Mapping) or set(given) - {"memory", "cpus"}:
        raise BadComponent(f"{name}: systemResourceLimits are memory and cpus")
    memory, cpus = _positive(name, "memory", given.get("memory")), _positive(name, "cpus", given.get("cpus"))
    if cpus is not None and cpus >= len(os.sched_getaffinity(0)):
        cpus = None  # more than there is: AWS's nucleus limits nothing then
    return Limits(None if memory is None else int(memory * 1024), cpus)


def impose(limits: Limits, process: int) -> str:
    """Without control groups; in words what is less than was asked for. Raises OSError."""
    short: list[str] = []
    if limits.memory is not None:
        resource.prlimit(process, resource.RLIMIT_DATA, (limits.memory, limits.memory))
        short.append("memory is limited for each process, not for all together")
    if limits.cpus is not None:
        whole = math.ceil(limits.cpus)
        os.sched_setaffinity(process, sorted(os.sched_getaffinity(0))[:whole])
        if whole != limits.cpus:
            short.append(f"cpus {limits.cpus:g} is rounded up to {whole}")
    return "; ".join(short)


def check_privilege(name: str) -> None:
    """Whether this core can run a step as root. Raises BadComponent."""
    if os.geteuid() != 0:
        raise BadComponent(
            f"{name} requires privilege, and this core runs as {' or '.join(sorted(_own()[0]))}, not as root"
        )


def check_user(name: str, run_with: Mapping[str, Any]) -> None:
    """Whether this core can run it as whom it shall. Raises BadComponent."""
    wanted = run_with.get("posixUser")
    if wanted is None:
        return
    user, _, group = str(wanted).partition(":")
    own, groups = _own()
    if user not in own or (group and group not in groups):
        raise BadComponent(
            f"{name}: posixUser {wanted}: programs run as this core's own user, {' or '.join(sorted(own))}"
        )


def _own() -> tuple[set[str], set[str]]:
    """Names and numbers of the core's user and of its group."""
    user, group = {str(os.geteuid())}, {str(os.getegid())}
    with contextlib.suppress(KeyError):  # a number without a name
        user.add(pwd.getpwuid(os.geteuid()).pw_name)
    with contextlib.suppress(KeyError):
        group.add(grp.getgrgid(os.getegid()).gr_name)
    return user, group


def _positive(name: str, what: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 2**53:
        raise BadComponent(f"{name}: systemResourceLimits.{what} must be a number above 0")
    return float(value)
