"""Control groups for a core's programs: a memory limit that holds for all that a component starts together."""

from __future__ import annotations

import logging
from dataclasses import replace

from littoral.core.nucleus.limits import Limits
from littoral.functions.isolation import cgroup

log = logging.getLogger(__name__)


class ControlGroups:
    """Made with the first component that has a limit; swept by the next core or keeper after this one has ended."""

    def __init__(self) -> None:
        self._asked = False
        self._folder: str | None = None

    def confine(self, name: str, process: int, limits: Limits) -> Limits:
        """A component's process joins its group; what no group limits here is given back (processors always)."""
        if limits.memory is None:
            return limits
        if not self._asked:
            self._asked, self._folder = True, cgroup.make_empty()
        if self._folder is None:
            return limits
        try:
            cgroup.join(self._folder, name, process)
            cgroup.limit(self._folder, name, limits.memory)
        except OSError as problem:
            log.warning("no control group limits %s: %s", name, problem)
            return limits
        return replace(limits, memory=None)
