"""A core's models: in processes like a region's, begun with the first of them; a core without models has none."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from littoral.core.modelserver.ports import ModelFile, NotServed
from littoral.models.registry.onnxfile import inspect
from littoral.models.registry.refusal import Untrue
from littoral.models.registry.signing import check_file
from littoral.models.serving.answers import Answer, Artifact, Ask, CannotServe
from littoral.models.serving.offering import Tensors
from littoral.models.serving.process import Limits
from littoral.models.serving.server import Server
from littoral.site.modelroom import confined, unconfined


@dataclass(slots=True)
class _Known:
    file: ModelFile  # where that digest is now
    artifact: Artifact
    tensors: Tensors | None = None


class CoreModels:
    """``limits.memory`` is for all models together. ``key``: the public one by which a registry signs models (base64);
    ``signed``: no others are taken."""

    def __init__(self, limits: Limits, *, sandbox: bool = True, key: str = "", signed: bool = False) -> None:
        self._key = key
        self._signed = signed
        self._limits = limits
        self._confine = confined if sandbox else unconfined
        self._server: Server | None = None
        self._known: dict[str, _Known] = {}  # by digest

    async def load(self, file: ModelFile) -> None:
        try:
            artifact = self.artifact(file)
            await asyncio.to_thread(self._check, file)  # it may be in memory since it needed no signature
            await self.server.load(artifact)
        except (CannotServe, OSError) as problem:
            raise NotServed(str(problem)) from problem

    async def infer(self, file: ModelFile, body: bytes) -> bytes:
        ask = Ask("oip", body, about={"model_name": file.name, "model_version": file.version})
        try:
            answer: Answer = await self.server.infer(self.artifact(file), ask)
        except (CannotServe, OSError) as problem:
            raise NotServed(str(problem)) from problem
        if answer.header is not None:
            raise NotServed("binary tensors are not for messages: ask without binary_data")
        return answer.body

    async def keep(self, digests: Collection[str]) -> None:
        for digest in self._known.keys() - set(digests):
            known = self._known.pop(digest)
            if self._server is not None:
                self._server.unload(known.artifact.key, CannotServe("gone", "the model is not deployed any more"))
        if not self._known:
            await self.close()

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = Server(self._confine, self._limits.memory, self._limits, spare=False)
        return self._server

    def artifact(self, file: ModelFile) -> Artifact:
        """Raises OSError."""
        return self._of(file).artifact

    async def tensors(self, file: ModelFile) -> Tensors:
        """What goes in and comes out. Raises CannotServe."""
        known = self._of(file)
        if known.tensors is None:
            seen = await asyncio.to_thread(inspect, await self._read(file.sha256))
            known.tensors = seen.inputs, seen.outputs
        return known.tensors

    def _of(self, file: ModelFile) -> _Known:
        """Raises OSError."""
        known = self._known.get(file.sha256)
        if known is None:
            size = file.path.stat().st_size
            known = _Known(file, Artifact(file.sha256, size, partial(self._read, file.sha256)))
            self._known[file.sha256] = known
        known.file = file
        return known

    async def _read(self, sha256: str) -> bytes:
        """Raises CannotServe."""
        file = self._known[sha256].file
        try:
            await asyncio.to_thread(self._check, file)
            data, digest = await asyncio.to_thread(_whole, file.path)
        except OSError as problem:
            raise CannotServe("gone", f"its file cannot be read: {problem}") from problem
        if digest != sha256:
            raise CannotServe("model", "its file is damaged: the SHA-256 differs")
        return data

    def _check(self, file: ModelFile) -> None:
        """Whoever may say so says that it may be served here. Raises CannotServe, OSError."""
        if not file.registry and not self._signed:
            return
        if not self._key:
            raise CannotServe("model", "it is to be signed, and this core has no key to tell by (models_key)")
        if file.signature is None:
            raise CannotServe("model", "only signed models of the registry are taken here (models_signed)")
        try:
            check_file(file.signature.read_bytes(), file.registry, file.sha256, file.path.stat().st_size, self._key)
        except Untrue as problem:
            raise CannotServe("model", str(problem)) from problem


def _whole(path: Path) -> tuple[bytes, str]:
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest()
