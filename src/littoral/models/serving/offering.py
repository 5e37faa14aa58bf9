"""The models that a place offers over the Open Inference Protocol: a region's are those of its registry."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.models.registry.onnxfile import Tensor
from littoral.models.registry.refusal import NoSuch
from littoral.models.registry.store import Registry
from littoral.models.registry.version import APPROVED, Version
from littoral.models.serving.answers import Artifact
from littoral.models.serving.book import artifact_of
from littoral.models.serving.server import Server

Tensors = tuple[Sequence[Tensor], Sequence[Tensor]]  # in and out


@dataclass(frozen=True, slots=True)
class Offered:
    name: str
    version: str
    artifact: Artifact
    tensors: Callable[[], Awaitable[Tensors]]


class Offers(Protocol):
    @property
    def server(self) -> Server:
        """In which they are. Raises CannotServe where none is."""

    def asking(self, name: str, version: str) -> contextlib.AbstractAsyncContextManager[Offered]:
        """One that serves until this is left; without a version the one that is meant then. Raises NoSuch."""

    def versions(self, name: str) -> list[str]:
        """Raises NoSuch."""

    def all(self) -> list[tuple[str, str, str]]:
        """Name, version and digest of each."""


@dataclass(frozen=True, slots=True)
class RegistryOffers:
    """What is approved; without a version the newest of it."""

    registry: Registry
    server: Server

    @contextlib.asynccontextmanager
    async def asking(self, name: str, version: str) -> AsyncIterator[Offered]:
        found = self._version(name, version) if version else self.registry.version(name)

        async def tensors() -> Tensors:
            return found.inputs, found.outputs

        artifact = artifact_of(self.registry, found.sha256, found.size)
        yield Offered(found.name, str(found.number), artifact, tensors)

    def _version(self, name: str, number: str) -> Version:
        """Raises NoSuch."""
        if not (number.isascii() and number.isdigit()):
            raise NoSuch(f"the model {name} has no version {number}")
        found = self.registry.version(name, int(number))
        if found.stage != APPROVED:
            raise NoSuch(f"version {number} of the model {name} is not approved")
        return found

    def versions(self, name: str) -> list[str]:
        return [str(each.number) for each in self.registry.versions(name) if each.stage == APPROVED]

    def all(self) -> list[tuple[str, str, str]]:
        return [
            (each.name, str(each.number), each.sha256)
            for group in self.registry.groups()
            for each in self.registry.versions(group.name)
            if each.stage == APPROVED
        ]
