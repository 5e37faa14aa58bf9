"""Which blocks artifacts consist of, for cores that have most of them. Read once, and kept while few others are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import OrderedDict
from typing import Final

from littoral.aws.service import ServiceError
from littoral.core.nucleus.recipe import Artifact
from littoral.core.ports import ArtifactObjects
from littoral.protocols.blocks import Block, Cutter, Manifest

KEPT: Final = 16


class ArtifactBlocks:
    def __init__(self, objects: ArtifactObjects) -> None:
        self._objects = objects
        self._lock = asyncio.Lock()  # a thousand cores that ask at once have it read once
        self._known: OrderedDict[str, Manifest | None] = OrderedDict()

    async def of(self, artifact: Artifact) -> Manifest | None:
        """None where its object is not what it was."""
        async with self._lock:
            if artifact.sha256 not in self._known:
                self._known[artifact.sha256] = await self._read(artifact)
            self._known.move_to_end(artifact.sha256)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return self._known[artifact.sha256]

    async def _read(self, artifact: Artifact) -> Manifest | None:
        cutter, digest = Cutter(), hashlib.sha256()
        found: list[Block] = []
        try:
            async for chunk in self._objects.read(artifact.bucket, artifact.key):
                digest.update(chunk)
                found += cutter.feed(chunk)
        except ServiceError:
            return None
        found += cutter.end()
        same = base64.b64encode(digest.digest()).decode() == artifact.sha256
        return Manifest(tuple(found)) if same else None
