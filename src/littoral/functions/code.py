"""The code of functions: zips checked, kept once by content, unpacked for instances to run from.

Owns: the blobs ``<sha256 hex>`` and the folders ``<folder>/<sha256 hex>/task``. Refuses anything that would write
outside its folder. A folder appears whole (unpacked aside, then renamed) and is never written again; instances share
it, so what a sandbox will mount read-only is by promise read-only already.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from littoral.aws.service import ServiceError
from littoral.functions import opt
from littoral.functions.names import invalid
from littoral.store.contract import Blobs, NotFound
from littoral.store.durable import fsync_tree

MAX_ZIP = 50 * 1024 * 1024  # uploaded directly
MAX_UNPACKED = 250 * 1024 * 1024
MAX_ENTRIES = 100_000
PORTION = 1024 * 1024

BROKEN = "Could not unzip uploaded file. Please check your file, then try to upload again."


@dataclass(frozen=True, slots=True)
class Unpacked:
    task: Path
    wants_boto: bool  # it names boto3 or botocore and does not bring its own
    size: int = 0  # bytes of all files


@dataclass(frozen=True, slots=True)
class Stored:
    sha256: str  # base64
    size: int

    @property
    def code_key(self) -> str:
        return base64.b64decode(self.sha256).hex()


class CodeStore:
    def __init__(self, blobs: Blobs, folder: Path) -> None:
        self._blobs = blobs
        self._folder = folder
        self._known: dict[str, Unpacked] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._added: set[str] = set()  # since the last sweep: who asked for it may not have written its name yet
        self._forgetting = asyncio.Lock()  # what is about to go is not found to be there

    async def check(self, archive: bytes) -> Stored:
        """Facts of a zip that could be added. Raises ServiceError as ``add`` does; keeps nothing."""
        if len(archive) > MAX_ZIP:
            message = f"Zipped size must be smaller than {MAX_ZIP} bytes"
            raise ServiceError("RequestEntityTooLargeException", message, status=413, fields={"Type": "User"})
        if not archive:
            raise invalid("Uploaded file must be a non-empty zip")
        await asyncio.to_thread(_inspect, archive)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(archive).digest())
        return Stored(base64.b64encode(digest).decode(), len(archive))

    async def add(self, archive: bytes) -> Stored:
        """Unpack (which proves every checksum), then keep durably. Raises InvalidParameterValueException for what
        is no zip, is empty, too large or unsafe, RequestEntityTooLargeException beyond 50 MB; nothing is left then."""
        stored = await self.check(archive)
        key = stored.code_key
        self._added.add(key)
        await self._unpack(key, archive)
        async with self._forgetting:
            there = await self._blobs.info(key) is not None
        if not there:
            await self._blobs.put(key, archive)
        return stored

    async def unpacked(self, key: str) -> Unpacked:
        """Where an instance runs from; unpacked again when the folder went away."""
        known = self._known.get(key)
        if known is not None:
            return known
        facts = self._folder / key / "facts.json"
        if await asyncio.to_thread(facts.is_file):
            self._known[key] = await asyncio.to_thread(_load_facts, facts)
            return self._known[key]
        try:
            archive = await self._blobs.get(key)
        except NotFound:
            raise ServiceError(
                "ServiceException", "The code of this function is not in the store", status=500
            ) from None
        return await self._unpack(key, archive)

    async def opt(self, keys: Sequence[str]) -> Path | None:
        """The folder that a function with these layers sees as /opt; None without layers."""
        if not keys:
            return None
        sources = [(await self.unpacked(key)).task for key in keys]
        if len(sources) == 1:
            return sources[0]
        merged = opt.merged_key(keys)
        self._added.add(merged)
        try:
            return await asyncio.to_thread(opt.merge, sources, self._folder, merged)
        except OSError as error:
            raise ServiceError(
                "ServiceException", f"The layers could not be merged: {error.strerror}", status=500
            ) from error

    async def archive(self, key: str) -> bytes | None:
        try:
            return await self._blobs.get(key)
        except NotFound:
            return None

    async def sweep(self, keep: Collection[str]) -> None:
        """Forget code that no function and no instance refers to, unless it came since the last sweep."""
        keep = {*keep, *self._added}
        self._added.clear()
        for info in await self._blobs.scan():
            async with self._forgetting:
                if info.key not in keep and info.key not in self._added:
                    await self._blobs.delete(info.key)
        for key in [key for key in self._known if key not in keep]:
            del self._known[key]

        def remove() -> None:
            if self._folder.is_dir():
                for entry in self._folder.iterdir():
                    if entry.name not in keep and entry.name not in self._added:
                        shutil.rmtree(entry, ignore_errors=True)

        await asyncio.to_thread(remove)

    async def _unpack(self, key: str, archive: bytes) -> Unpacked:
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._known:
                self._known[key] = await asyncio.to_thread(_unpack, archive, self._folder, key)
            self._locks.pop(key, None)
            return self._known[key]


def _load_facts(file: Path) -> Unpacked:
    facts = json.loads(file.read_text())
    task = file.parent / "task"
    return Unpacked(task, bool(facts["wants_boto"]), facts["size"] if "size" in facts else _size(task))


def _size(task: Path) -> int:
    return sum(entry.lstat().st_size for entry in task.rglob("*") if not entry.is_dir())


def _open(archive: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(archive))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OSError, NotImplementedError):
        raise invalid(BROKEN) from None


def _inspect(archive: bytes) -> None:
    """What the directory of the zip gives away, before anything is unpacked."""
    with _open(archive) as file:
        entries = file.infolist()
        if not any(not entry.is_dir() for entry in entries):
            raise invalid("Uploaded file must be a non-empty zip")
        if len(entries) > MAX_ENTRIES:
            raise invalid(f"The zip file has more than {MAX_ENTRIES} entries")
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise invalid(f"Unzipped size must be smaller than {MAX_UNPACKED} bytes")
        for entry in entries:
            _safe_path(entry.filename)


def _safe_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise invalid(f"{BROKEN} (the entry '{name[:200]}' leaves the folder of the function)")
    return path


def _unpack(archive: bytes, folder: Path, key: str) -> Unpacked:
    final = folder / key
    if (final / "facts.json").is_file():
        return _load_facts(final / "facts.json")
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        task = aside / "task"
        task.mkdir()
        _extract(archive, task)
        aside.chmod(0o755)
        (aside / "facts.json").write_text(json.dumps({"wants_boto": _wants_boto(task), "size": _size(task)}))
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(final)  # what a crash left without facts
        fsync_tree(aside)
        aside.rename(final)
    except OSError as error:  # a full disk
        shutil.rmtree(aside, ignore_errors=True)
        raise ServiceError(
            "ServiceException", f"The code could not be unpacked: {error.strerror}", status=500
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return _load_facts(final / "facts.json")


def _extract(archive: bytes, task: Path) -> None:
    left = MAX_UNPACKED
    links: list[tuple[Path, str]] = []
    try:
        with _open(archive) as file:
            for entry in file.infolist():
                target = task / _safe_path(entry.filename)
                mode = entry.external_attr >> 16
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                elif stat.S_ISLNK(mode):
                    links.append((target, file.read(entry).decode()))
                else:
                    left -= _extract_file(file, entry, target, left)
                    target.chmod((mode & 0o755) | 0o444)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, UnicodeDecodeError):
        raise invalid(BROKEN) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError):  # one name as a file and as a folder
        raise invalid(BROKEN) from None
    for target, text in links:  # last, so that no file is written through one
        _make_link(task, target, text)


def _extract_file(file: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Bytes written. The directory of a zip may lie about sizes, so what comes out is counted."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with file.open(entry) as source, target.open("xb" if not target.exists() else "wb") as sink:
        while portion := source.read(PORTION):
            written += len(portion)
            if written > left:
                raise invalid(f"Unzipped size must be smaller than {MAX_UNPACKED} bytes")
            sink.write(portion)
    return written


def _make_link(task: Path, target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(text)
    except (OSError, ValueError):
        raise invalid(BROKEN) from None
    root = os.path.realpath(task)
    if PurePosixPath(text).is_absolute() or not os.path.realpath(target).startswith(root + os.sep):
        raise invalid(f"{BROKEN} (the link '{target.name}' leaves the folder of the function)")


def _wants_boto(task: Path) -> bool:
    if any((task / name).exists() for name in ("boto3", "botocore")):
        return False
    for file in task.rglob("*.py"):
        if (
            not file.is_symlink()
            and b"boto" in (text := file.read_bytes())
            and (b"boto3" in text or b"botocore" in text)
        ):
            return True
    return False
