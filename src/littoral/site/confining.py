"""Control groups for a core's programs: limits that hold for all that a component starts together."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from littoral.core.nucleus.limits import Limits
from littoral.functions.isolation import cgroup

log = logging.getLogger(__name__)


class ControlGroups:
    """Made with the first component that has a limit; swept by the next core or keeper after this one has ended."""

    def __init__(self, processes: int | None = None) -> None:
        """``processes``: how many of its own, threads among them, a component may have. That is a limit of its cell
        (``fencing``), which the kernel holds nobody to who is root outside: for root a group is made."""
        self._processes = processes if os.geteuid() == 0 else None
        self._folders: dict[str, str | None] = {}

    def confine(self, name: str, process: int, limits: Limits) -> Limits:
        """A component's process joins its group; what no group limits here is given back (processors always)."""
        if self._processes is not None:
            self._join(cgroup.PROCESSES, name, process, self._processes)
        if limits.memory is not None and self._join(cgroup.MEMORY, name, process, limits.memory):
            return replace(limits, memory=None)
        return limits

    def _join(self, controller: str, name: str, process: int, most: int) -> bool:
        if controller not in self._folders:
            self._folders[controller] = cgroup.make_empty(controller)
            if self._folders[controller] is None and controller == cgroup.PROCESSES:
                log.warning("no control group limits how many processes a component starts: this core runs as root")
        folder = self._folders[controller]
        if folder is None:
            return False
        try:
            cgroup.join(folder, name, process)
            cgroup.limit(folder, name, most, controller)
        except OSError as problem:
            log.warning("no control group limits %s: %s", name, problem)
            return False
        return True
