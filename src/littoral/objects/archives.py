"""Archives of small files that become objects: tar, tar.gz and zip ("Batching small files", Snowball Edge guide).

A name in the archive is the object's key, as AWS has it; the archive's own key says nothing. All entries are looked at
before any becomes an object. Plain tar in memory, as most of them are, is read without ``tarfile``. Blocking: for
threads. Knows no index.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Final

from littoral.aws.service import ServiceError
from littoral.objects.errors import error
from littoral.objects.mailsafe import decoded
from littoral.objects.names import check_key
from littoral.protocols import tar

KEYWORD: Final = "LITTORAL.about"
NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # of a header, in small letters
HEADERS: Final = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
    "expires": "Expires",
}
MOST_MEMBERS: Final = 100_000
MOST_BYTES: Final = 100 * 1024**3  # of the archive, and of what comes out of it
BROKEN: Final = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
                 NotImplementedError, RuntimeError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    headers: dict[str, str]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file. ``modified`` is Unix seconds, ``mode`` its permissions, None where the archive does not say.
    ``about`` is what a Littoral's archive says of the object instead, headers and metadata."""

    name: str
    size: int
    modified: float | None
    mode: int | None
    entry: tar.Entry | tarfile.TarInfo | zipfile.ZipInfo
    about: About | None = None

    @property
    def headers(self) -> dict[str, str]:
        """By the model's names."""
        return self.about.headers if self.about is not None else {}

    @property
    def metadata(self) -> dict[str, str]:
        """As AWS Storage Gateway and DataSync keep them."""
        if self.about is not None:
            return self.about.metadata
        kept = {}
        if self.modified is not None:
            whole, part = divmod(self.modified, 1)
            kept["file-mtime"] = f"{int(whole) * 10**9 + int(part * 1e9)}ns"
        if self.mode is not None:
            kept["file-permissions"] = f"{self.mode & 0o7777:04o}"
        return kept


class Archive:
    """Raises InvalidRequest where it is none, or holds what cannot become an object."""

    def __init__(self, file: IO[bytes]) -> None:
        with _readable():
            magic = file.read(4)
            file.seek(0)
            self._open: tarfile.TarFile | zipfile.ZipFile | memoryview
            if isinstance(file, io.BytesIO) and (plain := tar.read(file.getbuffer())) is not None:
                self._open = file.getbuffer()
                self.members = list(_of_plain(plain))
            elif magic[:2] == b"PK":
                self._open = zipfile.ZipFile(file)
                self.members = list(_of_zip(self._open))
            else:
                self._open = tarfile.open(fileobj=file, mode="r:gz" if magic[:2] == b"\x1f\x8b" else "r:")  # noqa: SIM115 - it is kept
                self.members = list(_of_tar(self._open))
        if sum(member.size for member in self.members) > MOST_BYTES:
            raise _refused("more than 100 GiB come out of it")

    def read(self, member: Member) -> bytes:
        """Raises InvalidRequest where it is not what the archive says."""
        if isinstance(member.entry, tar.Entry):
            return bytes(self._within(member.entry))
        with self.open(member) as file, _readable():
            data = file.read(member.size + 1)
        if len(data) != member.size:
            raise _refused(f"{member.name[:200]!r} is not as long as the archive says")
        return data

    def chunks(self, member: Member, stride: int) -> Callable[[], bytes]:
        """Gives the next bytes of it, b"" at its end. Raises InvalidRequest."""
        file, left = self.open(member), member.size

        def following() -> bytes:
            nonlocal left
            with _readable():
                data = file.read(min(stride, left))
            if not data and left:
                raise _refused(f"{member.name[:200]!r} is shorter than the archive says")
            left -= len(data)
            return data

        return following

    def open(self, member: Member) -> IO[bytes]:
        """One after another: they share the archive's file."""
        if isinstance(member.entry, tar.Entry):
            return io.BytesIO(self._within(member.entry))
        with _readable():
            if isinstance(self._open, zipfile.ZipFile):
                assert isinstance(member.entry, zipfile.ZipInfo)
                return self._open.open(member.entry)
            assert isinstance(self._open, tarfile.TarFile)
            assert isinstance(member.entry, tarfile.TarInfo)
            found = self._open.extractfile(member.entry)
        assert found is not None
        return found

    def _within(self, entry: tar.Entry) -> memoryview:
        assert isinstance(self._open, memoryview)
        return self._open[entry.start : entry.start + entry.size]


class Window(io.RawIOBase):
    """What can be read in spans, as a file. ``read`` gives the bytes from an offset on."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        self._size, self._read, self._at = size, read, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = max(0, min(len(buffer), self._size - self._at))
        data = self._read(self._at, length) if length else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _of_plain(entries: list[tar.Entry]) -> Iterator[Member]:
    for count, entry in enumerate(entries):
        _check_count(count)
        about = _about(entry.about) if entry.about else None
        yield Member(_key(entry.name), entry.size, float(entry.modified), entry.mode, entry, about)


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for count, entry in enumerate(archive):
        _check_count(count)
        if entry.isdir():
            continue
        if not entry.isreg():
            raise _refused(f"{entry.name[:200]!r} is no regular file")
        text = entry.pax_headers.get(KEYWORD)
        about = _about(text) if text else None
        yield Member(_key(entry.name), entry.size, float(entry.mtime), entry.mode, entry, about)


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for count, entry in enumerate(archive.infolist()):
        _check_count(count)
        if entry.is_dir():
            continue
        if entry.flag_bits & 1:
            raise _refused(f"{entry.filename[:200]!r} is encrypted")
        mode = entry.external_attr >> 16
        if mode and (mode & 0o170000) not in (0, 0o100000):
            raise _refused(f"{entry.filename[:200]!r} is no regular file")
        yield Member(_key(entry.filename), entry.file_size, None, mode & 0o7777 if mode else None, entry)


def _key(name: str) -> str:
    """Raises ServiceError where no object can be named so."""
    key = name.lstrip("/")
    while key.startswith("./"):
        key = key[2:].lstrip("/")
    if ".." in key.split("/"):
        raise _refused(f"the name {name[:200]!r} leads out of it")
    check_key(key)
    return key


@lru_cache(256)
def _about(text: str) -> About:
    """What many entries have alike is read once: nobody changes it. Raises InvalidRequest."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _refused("what it says about an entry is no JSON") from problem
    if not isinstance(told, dict) or told.keys() != {"headers", "metadata"}:
        raise _refused("what it says about an entry is not headers and metadata")
    headers, metadata = told["headers"], told["metadata"]
    if not (_texts(headers) and _texts(metadata) and headers.keys() <= HEADERS.keys()):
        raise _refused("what it says about an entry is not what an object has")
    return About(
        {HEADERS[name]: value for name, value in headers.items()},
        {name: decoded(value) for name, value in metadata.items()},
    )


def _texts(told: object) -> bool:
    """Whether a request could bring them as headers."""
    return isinstance(told, dict) and all(
        NAME.fullmatch(name) and isinstance(value, str) and value.isascii() and value.isprintable()
        for name, value in told.items()
    )


def _check_count(count: int) -> None:
    if count >= MOST_MEMBERS:
        raise _refused(f"it has more than {MOST_MEMBERS} entries")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except BROKEN as problem:
        raise _refused(f"it cannot be read: {problem}") from problem


def _refused(reason: str) -> ServiceError:
    return error("InvalidRequest", f"The archive was not extracted: {reason}.")
