"""The model in what is handed in: an ONNX file, or a ``model.tar.gz`` with one in it, as SageMaker's jobs leave it.

Nothing is unpacked to the disk, so no name in an archive leads anywhere; what does not end is cut off.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from typing import Final, Self

from littoral.models.registry.refusal import BadModel

MOST_BYTES: Final = 1 << 30  # of a model
MOST_UNPACKED: Final = 4 << 30
MOST_ENTRIES: Final = 10_000
MOST_ABOUT: Final = 1 << 20  # of what an archive says of one entry (names, extended headers), which is read at once
WANTED: Final = "model.onnx"
TOO_MUCH: Final = f"the archive has more than {MOST_ENTRIES} files or {MOST_UNPACKED} bytes"


def model_in(data: bytes) -> bytes:
    """The ONNX file itself. Raises BadModel."""
    if len(data) > MOST_BYTES:
        raise BadModel(f"{len(data)} bytes: a model is at most {MOST_BYTES}")
    return _unpacked(data) if data[:2] == b"\x1f\x8b" else data


def _unpacked(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as plain:
            with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Entry) as archive:
                found = _models(archive)
            while plain.read(1 << 20):  # to its end, where its checksum is
                if plain.tell() > MOST_UNPACKED:
                    raise BadModel(TOO_MUCH)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as problem:
        raise BadModel(f"the archive cannot be read: {problem}") from problem
    if WANTED in found:
        return found[WANTED]
    if len(found) != 1:
        names = ", ".join(sorted(found)) or "none"
        raise BadModel(f"an archive has one .onnx file, or one that is called {WANTED}; here: {names}")
    return found.popitem()[1]


class _Entry(tarfile.TarInfo):
    """What tarfile would keep in memory before it tells of it is bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Raises BadModel, and what tarfile raises."""
        made = super().frombuf(buf, encoding, errors)
        if made.type == tarfile.GNUTYPE_SPARSE:
            raise BadModel("the archive has a sparse file in it")
        if made.type not in tarfile.REGULAR_TYPES and made.size > MOST_ABOUT:
            raise BadModel(f"the archive has an entry with a head of {made.size} bytes")
        return made

    def _proc_gnusparse_10(self, *_: object) -> None:
        """By extended headers, too: tarfile's way would gather a list of holes that does not end."""
        raise BadModel("the archive has a sparse file in it")


def _models(archive: tarfile.TarFile) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    unpacked = 0
    for count, entry in enumerate(archive):
        unpacked += max(entry.size, 0)
        if count >= MOST_ENTRIES or unpacked > MOST_UNPACKED:
            raise BadModel(TOO_MUCH)
        if not entry.isreg() or not entry.name.endswith(".onnx"):
            continue
        if sum(map(len, found.values())) + entry.size > MOST_BYTES:
            raise BadModel(f"the models of the archive are together more than {MOST_BYTES} bytes")
        stream = archive.extractfile(entry)
        found[entry.name.removeprefix("./")] = stream.read() if stream is not None else b""
    return found
