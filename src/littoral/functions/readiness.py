"""What a function is being made ready for: the truth behind State and LastUpdateStatus.

Owns: the work that follows a creation or update after it is durable (booting what a cold start will need). The caller
is answered when that is done, or after ``settle`` seconds with Pending or InProgress; until it is done the function can
be neither invoked (a new one) nor changed, as on AWS. A place that is killed meanwhile does the work at its next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal

from littoral.functions.names import LATEST, Home, conflict
from littoral.functions.version import FunctionVersion

Kind = Literal["creation", "update"]
REFUSED = "The operation cannot be performed at this time."


class Readiness:
    def __init__(self, home: Home, settle: float) -> None:
        self._home = home
        self._settle = settle
        self._under_way: dict[str, tuple[Kind, asyncio.Task[None]]] = {}

    async def follow(self, name: str, kind: Kind, work: Coroutine[Any, Any, None]) -> None:
        """Begin the work and wait for it, though not for long."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[name] = (kind, task)
        task.add_done_callback(lambda done: self._done(name, done))
        await asyncio.wait({task}, timeout=self._settle)

    async def close(self) -> None:
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check_invocable(self, name: str) -> None:
        """Raises ResourceConflictException while the function is being created."""
        if name in self._under_way and self._under_way[name][0] == "creation":
            raise conflict(f"{REFUSED} The function is currently in the following state: Pending")

    def check_changeable(self, name: str) -> None:
        """Raises ResourceConflictException while a creation or update is under way."""
        self.check_invocable(name)
        if name in self._under_way:
            raise conflict(f"{REFUSED} An update is in progress for resource: {self._home.arn(name)}")

    def shown(self, version: FunctionVersion) -> dict[str, str]:
        """Members of the function's configuration that differ while work is under way."""
        kind = self._under_way[version.name][0] if version.name in self._under_way else None
        if kind == "creation":
            reason = "The function is being created."
            return {"State": "Pending", "StateReason": reason, "StateReasonCode": "Creating"}
        if kind == "update" and version.version == LATEST:
            return {"LastUpdateStatus": "InProgress", "LastUpdateStatusReason": "The function is being updated."}
        return {}

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(name, ("", None))[1] is task:
            del self._under_way[name]
