"""What the site hands in: processes in which models work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class NotServed(Exception):
    """A model cannot be loaded, or did not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file that is to have this SHA-256 (hexadecimal), and, where ``registry`` names a model, to be signed as a
    version of it: ``signature`` is the file that says so."""

    path: Path
    sha256: str
    name: str
    version: str
    registry: str = ""
    signature: Path | None = None


class ModelPlace(Protocol):
    async def load(self, file: ModelFile) -> None:
        """It can be asked, and is in memory now. Raises NotServed."""

    async def infer(self, file: ModelFile, body: bytes) -> bytes:
        """The answer to a request of the Open Inference Protocol (JSON). Raises NotServed."""

    async def keep(self, digests: Collection[str]) -> None:
        """Whatever else is in memory goes."""

    async def close(self) -> None: ...
