"""Models, endpoint configurations and endpoints, by name: in memory, durable before a change is told.

An endpoint serves what its configuration says. Another configuration counts from when all of its models are loaded;
where one cannot be, the endpoint goes on with what it has, and says why.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Generic, Self, TypeVar

from littoral.models.registry.store import Registry
from littoral.models.serving.answers import Artifact, CannotServe
from littoral.models.serving.server import Server
from littoral.store.contract import Records
from littoral.store.documents import Documents

log = logging.getLogger("littoral.models")

CREATING: Final = "Creating"
UPDATING: Final = "Updating"
IN_SERVICE: Final = "InService"
FAILED: Final = "Failed"


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    created: float
    sha256: str
    size: int
    container: dict[str, Any]  # as CreateModel said it
    said: dict[str, Any] = field(default_factory=dict)  # beside it
    rows: int = 0
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Config:
    name: str
    created: float
    variants: list[dict[str, Any]]
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    created: float
    changed: float
    config: str  # that it serves
    wanted: str = ""  # that it is to serve; "" where it does
    status: str = CREATING
    failure: str = ""


Entry = TypeVar("Entry", Model, Config, Endpoint)


class Entries(Generic[Entry]):
    """Those of one kind."""

    def __init__(self, records: Records, prefix: str, kind: Callable[..., Entry]) -> None:
        self._kept = Documents(records, prefix)
        self._kind: Callable[..., Entry] = kind
        self._all: dict[str, Entry] = {}

    async def load(self) -> None:
        after = ""
        while page := await self._kept.scan(after=after):
            self._all |= {name: self._kind(**document) for name, document in page}
            after = page[-1][0]

    def get(self, name: str) -> Entry | None:
        return self._all.get(name)

    def all(self) -> list[Entry]:
        return [each for _, each in sorted(self._all.items())]

    async def put(self, entry: Entry) -> None:
        await self._kept.put(entry.name, asdict(entry))
        self._all[entry.name] = entry

    async def delete(self, name: str) -> None:
        await self._kept.delete(name)
        self._all.pop(name, None)


class Book:
    """Made by ``open``. Changes are made while holding ``lock``."""

    def __init__(self, records: Records, registry: Registry, server: Server) -> None:
        self.models: Entries[Model] = Entries(records, "model/", Model)
        self.configs: Entries[Config] = Entries(records, "config/", Config)
        self.endpoints: Entries[Endpoint] = Entries(records, "endpoint/", Endpoint)
        self.lock = asyncio.Lock()
        self._registry = registry
        self._server = server
        self._changing: dict[str, asyncio.Task[None]] = {}
        registry.held.append(lambda sha256: any(each.sha256 == sha256 for each in self.models.all()))

    @classmethod
    async def open(cls, records: Records, registry: Registry, server: Server) -> Self:
        """Raises StoreError."""
        made = cls(records, registry, server)
        for shelf in (made.models, made.configs, made.endpoints):
            await shelf.load()
        return made

    def prepare(self) -> None:
        """Have a process at hand, for a model that an endpoint will soon be made of."""
        self._server.prepare()

    def start(self) -> None:
        """What was under way goes on. A place without models has no process for one."""
        if self.models.all():
            self.prepare()
        for each in self.endpoints.all():
            if each.wanted:
                self.change(each)

    async def close(self) -> None:
        for task in self._changing.values():
            task.cancel()
        await asyncio.gather(*self._changing.values(), return_exceptions=True)

    # ------------------------------------------------------------------------------------------------ what serves

    def artifact(self, model: Model) -> Artifact:
        return artifact_of(self._registry, model.sha256, model.size, model.rows, model.wait)

    def chosen(self, endpoint: Endpoint, variant: str = "") -> tuple[str, Model] | None:
        """The variant that gets a request, by the variants' weights, and its model; None where there is none so called
        or none with a weight."""
        config = self.configs.get(endpoint.config)
        variants = [each for each in config.variants if variant in {"", each["VariantName"]}] if config else []
        weights = [1.0 if variant else float(each.get("InitialVariantWeight", 1.0)) for each in variants]
        if not any(weights):
            return None
        found = random.choices(variants, weights)[0] if len(variants) > 1 else variants[0]
        model = self.models.get(found["ModelName"])
        return (found["VariantName"], model) if model is not None else None

    # ------------------------------------------------------------------------------------------------ changes

    def change(self, endpoint: Endpoint) -> None:
        """Begin to serve what it is to serve. It is stored already."""
        task = self._changing[endpoint.name] = asyncio.ensure_future(self._change(endpoint.name, endpoint.wanted))
        task.add_done_callback(lambda done: self._ended(endpoint.name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._changing.get(name) is task:
            del self._changing[name]
        if not task.cancelled() and task.exception() is not None:
            log.error("the endpoint %s could not be changed", name, exc_info=task.exception())

    async def _change(self, name: str, wanted: str) -> None:
        failure = ""
        config = self.configs.get(wanted)
        try:
            for variant in config.variants if config is not None else ():
                model = self.models.get(variant["ModelName"])
                if model is None:
                    raise CannotServe("gone", f"the model {variant['ModelName']} was deleted")
                await self._server.load(self.artifact(model))
        except CannotServe as problem:
            failure = f"{wanted}: {problem}"
        if config is None:
            failure = f"the endpoint configuration {wanted} was deleted"
        async with self.lock:
            before = self.endpoints.get(name)
            if before is None or before.wanted != wanted:
                return
            now = time.time()
            if not failure:
                after = replace(before, config=wanted, wanted="", status=IN_SERVICE, failure="", changed=now)
            else:  # what it served before it goes on serving
                status = IN_SERVICE if before.config else FAILED
                after = replace(before, wanted="", status=status, failure=failure[:1024], changed=now)
            await self.endpoints.put(after)

    async def forget_bytes(self, sha256: str) -> None:
        await self._registry.forget(sha256)


def artifact_of(registry: Registry, sha256: str, size: int, rows: int = 0, wait: float = 0.0) -> Artifact:
    """What the registry has of that digest."""

    async def read() -> bytes:
        return await registry.bytes_of(sha256)

    return Artifact(sha256, size, read, rows, wait)
