"""Artifacts of components on the core's disk: fetched once, kept by digest, laid out for each version.

::

    kept/<sha256>.<mode>                   whole and verified
    partial/<sha256>                       still coming; it goes on where it broke off, after a restart too; what
                                           other versions of the component have in common with it is taken from them
    artifacts/<home>/FILE                  links to what is kept: {artifacts:path}
    artifacts-unarchived/<home>/STEM/…     {artifacts:decompressedPath}

A folder under ``artifacts`` is made beside and renamed, so it is whole or absent; it never changes after that.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from littoral.core.nucleus.recipe import Artifact, Generic
from littoral.core.recipe import BadComponent
from littoral.core.source import Downloads
from littoral.core.unpacking import BadArchive, unpack
from littoral.store.contract import StorageFailed
from littoral.store.durable import fsync_folder

NEW = ".new"
WORTH = 256 * 1024  # bytes of a file: to ask of what blocks a smaller one consists costs as much as to fetch it
PACKED = "packages/artifacts"  # of a core's folder of components


def packed(folder: Path, made: Generic) -> Path:
    """What ``{artifacts:path}`` is, of a core's folder of components."""
    return folder / PACKED / made.home


def unpacked(folder: Path, made: Generic) -> Path:
    """What ``{artifacts:decompressedPath}`` is."""
    return folder / "packages/artifacts-unarchived" / made.home


class Packages:
    """``fetch`` before a component is installed, ``keep`` when a deployment is well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages = folder / "packages"

    async def fetch(self, arn: str, made: Generic, source: Downloads) -> None:
        """All artifacts of a component version are in their folders. Raises Unreachable, Declined, BadComponent,
        StorageFailed."""
        if packed(self._folder, made).exists():
            return
        try:
            like = await asyncio.to_thread(self._before, made)
            kept = [await self._kept(arn, each, source, like) for each in made.artifacts]
            await asyncio.to_thread(self._lay, made, kept)
        except BadArchive as problem:
            raise BadComponent(
                f"{made.name} {made.version}: an artifact cannot be unpacked: {problem}", "IO_ERROR", "IO_UNZIP_ERROR"
            ) from problem
        except OSError as problem:
            raise StorageFailed(f"the artifacts of {made.name}: {problem}") from problem

    async def keep(self, wanted: Collection[Generic]) -> None:
        """Remove everything else. Raises StorageFailed."""
        try:
            await asyncio.to_thread(self._clear, {each.home for each in wanted})
        except OSError as problem:
            raise StorageFailed(f"artifacts that are not needed any more: {problem}") from problem

    def _before(self, made: Generic) -> list[Path]:
        """The large files of its other versions: a new one may have much in common with them."""
        found = packed(self._folder, made).parent.rglob("*")
        return [each for each in found if each.is_file() and each.stat().st_size >= WORTH]

    async def _kept(self, arn: str, artifact: Artifact, source: Downloads, like: Sequence[Path]) -> Path:
        digest = base64.b64decode(artifact.sha256).hex()
        place = self._packages / "kept" / f"{digest}.{artifact.mode:o}"
        if place.exists():
            return place
        for each in ("kept", "partial"):
            (self._packages / each).mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = self._packages / "partial" / digest
        twin = next((self._packages / "kept").glob(f"{digest}.*"), None)
        if twin is not None and not partial.exists():  # the same with another permission
            await asyncio.to_thread(shutil.copyfile, twin, partial)
        await source.download(arn, artifact.name, digest, partial, like, own=artifact.own)
        partial.chmod(artifact.mode)
        partial.replace(place)
        await asyncio.to_thread(fsync_folder, place.parent)
        return place

    def _lay(self, made: Generic, kept: list[Path]) -> None:
        for whole, fill in ((unpacked(self._folder, made), _unpack_all), (packed(self._folder, made), _link_all)):
            making = whole.with_name(whole.name + NEW)
            for each in (making, whole):
                _remove(each)
            making.mkdir(mode=0o755, parents=True)
            fill(making, list(zip(made.artifacts, kept, strict=True)))
            making.replace(whole)
            fsync_folder(whole.parent)

    def _clear(self, homes: Collection[str]) -> None:
        for kind in ("artifacts", "artifacts-unarchived"):
            for version in (self._packages / kind).glob("*/*"):
                if f"{version.parent.name}/{version.name}" not in homes:
                    _remove(version)
            for name in (self._packages / kind).glob("*"):
                if not any(name.iterdir()):
                    name.rmdir()
        for each in (self._packages / "kept").glob("*"):
            if each.stat().st_nlink == 1:  # no version's folder has it
                each.unlink()
        for each in (self._packages / "partial").glob("*"):
            each.unlink()


def _link_all(folder: Path, artifacts: list[tuple[Artifact, Path]]) -> None:
    for artifact, kept in artifacts:
        place = folder / artifact.file
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.link(kept, place)
    for each, _, _ in os.walk(folder):
        fsync_folder(Path(each))


def _unpack_all(folder: Path, artifacts: list[tuple[Artifact, Path]]) -> None:
    for artifact, kept in artifacts:
        if artifact.unpack:
            unpack(kept, folder / artifact.stem, artifact.mode)
    fsync_folder(folder)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
