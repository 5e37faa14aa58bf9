"""The bootstrap step: once for each version of a component (or each script, as its configuration fills it in), before
anything of the deployment starts. What has ended is kept, so neither a restart nor a power cut runs it again.

Exit codes are AWS's: 0 well, 100 well and the core is to be restarted, 101 the device is to be rebooted. A core does
not reboot its device: it says so. Source: "AWS IoT Greengrass component recipe reference", Bootstrap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from littoral.core.deploymenterrors import BOOTSTRAP, UPDATE
from littoral.core.nucleus.component import Component
from littoral.core.recipe import BadComponent
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents

STEP = "bootstrap"
RESTART, REBOOT = 100, 101


class RestartNeeded(Exception):
    """A bootstrap step asks that the core be restarted before the deployment goes on."""


class Bootstraps:
    def __init__(self, records: Records) -> None:
        self._kept = Documents(records, "bootstrap/")

    async def run(self, components: Iterable[Component]) -> None:
        """Of those to which it is new, in their order. Raises BadComponent, RestartNeeded, StoreError."""
        restart = False
        for component in components:
            if STEP in component.made.steps and await self._kept.get(component.made.name) != _mark(component):
                restart |= await self._run(component)
        if restart:
            raise RestartNeeded

    async def settle(self, components: Iterable[Component]) -> None:
        """What was bootstrapped beyond these, which run, counts no more: after a rollback."""
        for component in components:
            if STEP in component.made.steps:
                await self._kept.put(component.made.name, _mark(component))

    async def forget(self, name: str) -> None:
        await self._kept.delete(name)

    async def _run(self, component: Component) -> bool:
        """Whether the core is to be restarted."""
        name = component.made.name
        try:
            status = await component.once(STEP)
        except OSError as problem:
            raise BadComponent(f"bootstrap of {name} cannot be run: {problem}", UPDATE, BOOTSTRAP) from problem
        if status is None:
            raise BadComponent(f"bootstrap of {name} took too long", UPDATE, "COMPONENT_BOOTSTRAP_TIMEOUT")
        if status not in (0, RESTART, REBOOT):
            raise BadComponent(f"bootstrap of {name} ended with {status}", UPDATE, BOOTSTRAP)
        await self._kept.put(name, _mark(component))
        if status == REBOOT:
            why = f"bootstrap of {name} asks for a reboot, which a core does not do: reboot, deploy again"
            raise BadComponent(why, UPDATE, BOOTSTRAP)
        return status == RESTART


def _mark(component: Component) -> Document:
    script = component.prepared(STEP).script
    return {"version": component.made.version, "script": hashlib.sha256(script.encode()).hexdigest()}
