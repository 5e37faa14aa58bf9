"""Instances that are there before they are asked for: provisioned concurrency, and a core's long-lived functions.

Owns: how many each version is to have, and the task that sees to it. What is wanted is in the functions' documents;
what there is, the scheduler knows: nothing is counted twice, and what is said of an allocation is what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from littoral.aws.service import ServiceError
from littoral.functions.catalog import Catalog
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.launcher import Launcher
from littoral.functions.names import Reference
from littoral.functions.scheduler import Scheduler
from littoral.functions.turn import InitFailed
from littoral.functions.version import FunctionVersion
from littoral.net.ongoing import Ongoing

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between looks for instances that ended
PAUSE = 30.0  # seconds until a version whose init phase failed is tried again


@dataclass(frozen=True, slots=True)
class Allocation:
    requested: int
    allocated: int
    available: int
    failure: str = ""

    @property
    def status(self) -> str:
        if self.allocated >= self.requested:
            return "READY"
        return "FAILED" if self.failure else "IN_PROGRESS"


class Provisioner(Ongoing):
    def __init__(self, catalog: Catalog, scheduler: Scheduler, launcher: Launcher) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._launcher = launcher
        self._changed = asyncio.Event()
        self._failures: dict[str, tuple[str, float]] = {}  # version key → why, until when it is left alone
        self._held: list[Reference] = []  # of each one instance, from now on
        self._tell: Callable[[], None] = lambda: None
        self._filled = asyncio.Event()  # what is wanted is there, or has failed

    def changed(self) -> None:
        """Something that was asked for is different; failures are forgotten."""
        self._failures.clear()
        self._filled.clear()
        self._scheduler.provision({version.key: count for version, count in self._wanted()})
        self._changed.set()

    def hold(self, held: Iterable[Reference], tell: Callable[[], None]) -> None:
        """These versions, and no others but by provisioned concurrency, have an instance from now on. One that is held
        no longer ends: nothing else would end it, and it is not to run beside its successor. ``tell`` is called when
        one cannot begin, and when it does after all."""
        before, self._held, self._tell = self._held, list(held), tell
        for reference in before:
            if reference not in self._held:
                self._let_go(reference)
        self.changed()

    def _let_go(self, reference: Reference) -> None:
        with contextlib.suppress(ServiceError):  # it is gone, its instance with it
            gone, function = self._catalog.version(reference).key, self._catalog.get(reference.name)
            keep = {each.key for each in (function.latest, *function.versions.values())} - {gone}
            self._scheduler.retire(reference.name, keep=keep)

    async def filled(self) -> None:
        """Returns when all that is wanted is there, or has failed once."""
        await self._filled.wait()

    def failure(self, reference: Reference) -> str:
        """Why a version that is held has no instance; "" where it has, or is to have."""
        try:
            return self._failures.get(self._catalog.version(reference).key, ("", 0.0))[0]
        except ServiceError as problem:
            return str(problem)

    def allocation(self, version: FunctionVersion, requested: int) -> Allocation:
        idle, busy = self._scheduler.warm(version.key)
        allocated = min(requested, idle + busy)
        failure = self._failures.get(version.key, ("", 0.0))[0]
        return Allocation(requested, allocated, min(idle, allocated), failure)

    async def _launch(self, version: FunctionVersion) -> Instance:
        return await self._launcher.launch(version, provisioned=True)

    def total(self) -> int:
        return sum(count for _, count in self._wanted())

    def _wanted(self) -> list[tuple[FunctionVersion, int]]:
        wanted: list[tuple[FunctionVersion, int]] = []
        for name in self._catalog.names():
            for qualifier, asked in self._catalog.get(name).provisioned.items():
                with contextlib.suppress(ServiceError):  # the alias was deleted; nothing can be asked of it
                    wanted.append((self._catalog.version(Reference(name, qualifier)), asked["count"]))
        for reference in self._held:
            with contextlib.suppress(ServiceError):  # it is not here
                wanted.append((self._catalog.version(reference), 1))
        return wanted

    async def _work(self) -> None:
        self.changed()
        while True:
            self._changed.clear()
            wanted = self._wanted()
            self._scheduler.provision({version.key: count for version, count in wanted})
            for version, count in wanted:
                await self._fill(version, count)
            if not self._changed.is_set():
                self._filled.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_EVERY if wanted else None)

    async def _fill(self, version: FunctionVersion, count: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._failures.get(version.key, ("", 0.0))[1] > now:
            return
        pool = self._scheduler.pool(version)
        pinned = version.placement.pinned
        launch = self._launcher.launch if pinned else self._launch
        try:
            while sum(self._scheduler.warm(version.key)) < count and not self._changed.is_set():
                if pinned and pool.starting:  # for an event: of a pinned version there is never a second one
                    return
                await self._scheduler.starts.ahead(pool, launch)
                if self._failures.pop(version.key, None) is not None:
                    self._tell()
        except (InitFailed, KeeperGone, ServiceError) as error:
            self._failures[version.key] = (_reason(error), now + PAUSE)
            self._tell()
            log.warning("an instance of %s:%s ahead of need: %s", version.name, version.version, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, InitFailed):
        return "FUNCTION_ERROR_INIT_FAILURE"
    return f"The machine has no room for a further instance: {error}"
