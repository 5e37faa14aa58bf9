"""The deployments that are made on this device: one after the other, kept until ten later ones are done.

What is asked for and what comes with it is durable before its id is given, so a power cut loses none. It changes what
stands when its turn comes, not what stood when it was asked for.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from littoral.core.local.brought import BadArtifacts, BadRecipes, take
from littoral.core.local.request import check_group, parse_request, paths_of
from littoral.core.orders import Order, Outcome
from littoral.core.recipe import BadComponent
from littoral.store.contract import StorageFailed, StoreError
from littoral.store.documents import Documents
from littoral.store.durable import fsync_folder, make_folder

log = logging.getLogger(__name__)

KEY = "local"
MOST_KEPT, MOST_WAITING = 10, 10
OPEN = ("QUEUED", "IN_PROGRESS")

Copy = Callable[[Path, Path], Awaitable[None]]
"""Takes a folder and where a copy of it is to be, made with the rights of whoever asks. Raises BadComponent."""


class NoSuchDeployment(KeyError):
    """None with that id is known any more."""


@dataclass(frozen=True, slots=True)
class LocalDeployment:
    id: str
    created: float
    request: Mapping[str, Any]
    status: str = "QUEUED"  # or IN_PROGRESS, SUCCEEDED, FAILED, CANCELED
    detail: str = ""
    reason: str = ""
    stack: Sequence[str] = ()  # of AWS's error codes

    @property
    def shown(self) -> dict[str, Any]:
        return {"id": self.id, "created": self.created, "status": self.status, "reason": self.reason}


class LocalOrders:
    """``standing`` gives the components that a target's active deployment has; ``also`` is told of each end."""

    def __init__(
        self,
        folder: Path,
        documents: Documents,
        standing: Callable[[str], Mapping[str, Mapping[str, Any]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._documents = documents
        self._standing = standing
        self._clock = clock
        self._kept: list[LocalDeployment] = []
        self._look = asyncio.Event()
        self._lock = asyncio.Lock()

    async def start(self, look: asyncio.Event) -> None:
        self._look = look
        found = await self._documents.get(KEY)
        self._kept = [LocalDeployment(**each) for each in (found or {}).get("deployments", ())]
        await asyncio.to_thread(self._sweep, {each.id for each in self._open()})

    # ------------------------------------------------------------------------------------- for whoever asks

    async def create(self, document: Mapping[str, Any], copy: Copy | None = None) -> str:
        """Its id; it is carried out in its turn. Raises BadComponent, StoreError."""
        request = parse_request(document)
        check_group(request.group)
        recipes, artifacts = paths_of(document)
        if len(self._open()) >= MOST_WAITING:
            raise BadComponent(f"{MOST_WAITING} local deployments wait already")
        strangers = set(request.remove) - self._standing(request.target).keys()
        if strangers and not self._open():
            names = ", ".join(sorted(strangers))
            raise BadComponent(f"{names}: no component of {request.target}; of a group's, name the group")
        made = LocalDeployment(str(uuid.uuid4()), self._clock(), dict(document))
        if recipes is not None:
            await self._bring(made.id, recipes, artifacts, copy)
        async with self._lock:
            await self._write([*self._kept, made])
            self._kept.append(made)
        self._look.set()
        return made.id

    async def cancel(self, identifier: str) -> None:
        """Of one that waits. Raises NoSuchDeployment, BadComponent, StoreError."""
        found = self.get(identifier)
        if found.status != "QUEUED":
            raise BadComponent(f"{identifier} is {found.status}: only one that waits is canceled")
        try:
            await self._changed(replace(found, status="CANCELED"))
        except StoreError:
            await self._changed(found)
            raise
        await self._drop(identifier)

    def get(self, identifier: str) -> LocalDeployment:
        """Raises NoSuchDeployment."""
        for each in self._kept:
            if each.id == identifier:
                return each
        raise NoSuchDeployment(identifier)

    def listed(self) -> list[LocalDeployment]:
        """The latest first."""
        return self._kept[::-1]

    # ------------------------------------------------------------------------------------- as orders

    @property
    def due(self) -> Order | None:
        for each in self._open():
            request = parse_request(each.request)
            deployment = request.deployment(each.id, self._standing(request.target))
            return Order(deployment, each.id, self, self._folder / each.id)
        return None

    async def begun(self, order: Order) -> None:
        await self._changed(replace(self.get(order.key), status="IN_PROGRESS"))

    async def finished(self, outcome: Outcome) -> None:
        known = self.get(outcome.order)
        done = replace(
            known,
            status=outcome.status,
            detail=outcome.detail or "",
            reason=outcome.reason,
            stack=tuple(outcome.stack),
        )
        try:
            await self._changed(done)
        except StoreError as problem:  # after a restart it is found to be active, or fails again
            log.warning("the outcome of %s is not kept: %s", done.id, problem)
        await self._drop(done.id)

    # ------------------------------------------------------------------------------------------------

    def _open(self) -> list[LocalDeployment]:
        return [each for each in self._kept if each.status in OPEN]

    async def _changed(self, one: LocalDeployment) -> None:
        """At once, so that nobody begins what is canceled; durable on return. Raises StoreError."""
        changed = [one if each.id == one.id else each for each in self._kept]
        done = [each for each in changed if each.status not in OPEN]
        forgotten = {each.id for each in done[:-MOST_KEPT]}
        self._kept = [each for each in changed if each.id not in forgotten]
        async with self._lock:
            await self._write(self._kept)

    async def _write(self, deployments: list[LocalDeployment]) -> None:
        await self._documents.put(KEY, {"deployments": [asdict(each) for each in deployments]})

    async def _bring(self, identifier: str, recipes: Path, artifacts: Path | None, copy: Copy | None) -> None:
        making, copies = self._folder / f"{identifier}.new", self._folder / f"{identifier}.copy"
        try:
            await asyncio.to_thread(make_folder, self._folder)
            if copy is not None:
                await asyncio.to_thread(copies.mkdir, 0o700)
                recipes = await _copied(copy, recipes, copies / "recipes", BadRecipes)
                if artifacts is not None:
                    artifacts = await _copied(copy, artifacts, copies / "artifacts", BadArtifacts)
            await asyncio.to_thread(take, recipes, artifacts, making)
            making.replace(self._folder / identifier)
            await asyncio.to_thread(fsync_folder, self._folder)
        except OSError as problem:
            raise StorageFailed(f"what comes with the local deployment: {problem}") from problem
        finally:
            for each in (making, copies):
                await asyncio.to_thread(shutil.rmtree, each, ignore_errors=True)

    async def _drop(self, identifier: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / identifier, ignore_errors=True)

    def _sweep(self, needed: set[str]) -> None:
        """What a power cut left."""
        for each in self._folder.glob("*"):
            if each.name not in needed:
                shutil.rmtree(each, ignore_errors=True)


async def _copied(copy: Copy, folder: Path, to: Path, kind: type[BadComponent]) -> Path:
    try:
        await copy(folder, to)
    except BadComponent as problem:
        raise kind(str(problem)) from problem
    return to
