"""The Open Inference Protocol of a core, on its API's port: the models that its deployments serve."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from littoral.aws.service import Principal
from littoral.core.modelserver.component import ModelServer
from littoral.core.modelserver.ports import NotServed
from littoral.models.registry.refusal import NoSuch
from littoral.models.serving.answers import CannotServe
from littoral.models.serving.inference import Inference
from littoral.models.serving.offering import Offered
from littoral.models.serving.server import Server
from littoral.net.message import Request, Response
from littoral.site.coremodels import CoreModels


@dataclass(frozen=True, slots=True)
class CoreOffers:
    """A model has the one version that is deployed."""

    models: ModelServer

    @property
    def _place(self) -> CoreModels:
        if not isinstance(self.models.place, CoreModels):
            raise NoSuch("no model is deployed to this core")
        return self.models.place

    @property
    def server(self) -> Server:
        try:
            return self._place.server
        except NoSuch as problem:
            raise CannotServe("gone", str(problem)) from problem

    @contextlib.asynccontextmanager
    async def asking(self, name: str, version: str) -> AsyncIterator[Offered]:
        try:
            async with self.models.asking(name) as file:
                if version not in ("", file.version):
                    raise NoSuch(f"there is no version {version} of the model {name}")
                place = self._place
                yield Offered(name, file.version, place.artifact(file), lambda: place.tensors(file))
        except NotServed as problem:
            raise NoSuch(str(problem)) from problem

    def versions(self, name: str) -> list[str]:
        return [version for each, version, _ in self.all() if each == name]

    def all(self) -> list[tuple[str, str, str]]:
        return [(each.name, each.version, each.sha256) for each in self.models.files()]


async def answered(
    models: ModelServer, authenticate: Callable[[Request], Awaitable[Principal]], request: Request
) -> Response:
    return await Inference(CoreOffers(models), authenticate).handle(request)
