"""``Models``: the capability as the site sees it.

models = await Models.open(store, folder, buckets, serving, region="us-east-1", account="000000000000")
models.start()
models.registry                  # Registry: what other parts of the place register with
models.api, models.runtime       # for botocore's services "sagemaker" and "sagemaker-runtime"
models.inference(authenticate)   # a handler for /v2 and all beneath it
await models.close()
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from littoral.aws.service import Principal
from littoral.models.api.parts import Buckets, Here
from littoral.models.api.runtime import RuntimeApi
from littoral.models.api.sagemaker import ModelsApi
from littoral.models.registry import Registry
from littoral.models.registry.refusal import BadModel
from littoral.models.registry.signing import Signer
from littoral.models.serving.answers import CannotServe
from littoral.models.serving.book import Book, artifact_of
from littoral.models.serving.inference import Inference
from littoral.models.serving.offering import RegistryOffers
from littoral.models.serving.process import Limits
from littoral.models.serving.server import Confine, Server
from littoral.net.message import Handler, Headers, Request, Response, json_response
from littoral.store.embedded import EmbeddedStore

log = logging.getLogger("littoral.models")


@dataclass(frozen=True, slots=True)
class Serving:
    """``confine`` makes the command of a model's process one that runs in its sandbox; ``limits.memory`` is for all
    models together."""

    confine: Confine
    limits: Limits


class Models:
    """Made by ``open``."""

    def __init__(self, registry: Registry, buckets: Buckets, here: Here, server: Server, book: Book) -> None:
        self.registry = registry
        self._server = server
        self._book = book
        self.api = ModelsApi(registry, buckets, here, book)
        self.runtime = RuntimeApi(server, book)
        registry.tried = self._tried

    @classmethod
    async def open(
        cls, store: EmbeddedStore, folder: Path, buckets: Buckets, serving: Serving, *, region: str, account: str
    ) -> Self:
        """``folder`` holds the key that versions are signed with, unless that is made of the store's. Raises
        StoreError, OSError."""
        file = folder / "signing.key"
        key = store.key_of(file)
        signer = Signer.of(key) if key is not None else await asyncio.to_thread(Signer.load_or_create, file)
        records = store.records("models")
        registry = await Registry.open(records, store.blobs("models"), signer)
        server = Server(serving.confine, serving.limits.memory, serving.limits)
        book = await Book.open(records, registry, server)
        return cls(registry, buckets, Here(region, account), server, book)

    @property
    def key(self) -> bytes:
        """The public key that versions are signed by, in base64."""
        return self.registry.key.encode()

    def start(self) -> None:
        """Endpoints that were on their way go on."""
        self._book.start()

    async def close(self) -> None:
        await self._book.close()
        await self._server.close()

    def inference(self, authenticate: Callable[[Request], Awaitable[Principal]]) -> Handler:
        """``authenticate`` raises ServiceError."""
        return Inference(RegistryOffers(self.registry, self._server), authenticate).handle

    async def file(self, request: Request) -> Response:
        """For requests that are signed: the file of the digest that ends the path."""
        stream = await self.registry.stream(request.raw_path.rpartition("/")[2])
        if stream is None:
            return json_response(404, {"message": "there is no model of this digest"})
        return Response(200, Headers.of([("content-type", "application/octet-stream")]), stream)

    async def _tried(self, sha256: str, size: int) -> None:
        """What cannot be loaded is not approved, so what served before goes on. Raises BadModel."""
        try:
            await self._server.load(artifact_of(self.registry, sha256, size))
        except CannotServe as problem:
            if problem.kind == "model":
                raise BadModel(f"it cannot be approved: {problem}") from problem
            log.warning("a model is approved without having been loaded: %s", problem)
