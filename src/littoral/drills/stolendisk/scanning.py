"""What is looked for on a disk, in which forms, and where it was found. Pure but for reading files."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

CHUNK = 8 * 1024 * 1024
LONGEST = 256  # bytes of a form: chunks overlap by so much
Wanted = Mapping[str, tuple[bytes, ...]]  # what was planted: how it may lie there
SAMPLE = 4096  # bytes from which on a file is tried to be compressed


def forms(text: str) -> Iterator[bytes]:
    """As it may lie on a disk: itself, as UTF-16, in hex digits, in base64 at any of its three places; and what a key
    that is told in hex digits or base64 is."""
    raw = text.encode()
    yield raw
    yield text.encode("utf-16-le")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for place in range(3):
        yield base64.b64encode(bytes(place) + raw)[4 * (place > 0) + 4 :][: len(raw)]
    for decode in (bytes.fromhex, partial(base64.b64decode, validate=True)):
        with suppress(ValueError):
            yield decode(text)


@dataclass(slots=True)
class Scan:
    files: int = 0
    size: int = 0
    found: dict[str, list[str]] = field(default_factory=dict)  # what was planted: the files that show it
    compressible: list[str] = field(default_factory=list)  # a file that looks like no chance at all


def scan(folder: Path, planted: Mapping[str, str]) -> Scan:
    """Every byte of every file, and every name. ``planted``: text by what it is."""
    wanted = {name: tuple(forms(text)) for name, text in planted.items()}
    seen = Scan()
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        _look(seen, wanted, name, name.encode())
        if not file.is_file() or file.is_symlink():
            continue
        squeezed = zlib.compressobj(1)
        size = small = 0
        for chunk in _read(seen, wanted, name, file):
            size += len(chunk)
            small += len(squeezed.compress(chunk))
        small += len(squeezed.flush())
        if size >= SAMPLE and small < size * 0.97 and not name.endswith("-shm"):  # page numbers of a WAL, no content
            seen.compressible.append(f"{name} ({small * 100 // size} %)")
    return seen


def scan_device(device: Path, planted: Mapping[str, str]) -> Scan:
    """Every byte of a disk: of files, of what was deleted, of the file system's journal, of what nobody wrote."""
    seen = Scan()
    for _ in _read(seen, {name: tuple(forms(text)) for name, text in planted.items()}, device.name, device):
        pass
    return seen


def _read(seen: Scan, wanted: Wanted, name: str, file: Path) -> Iterator[bytes]:
    """Its chunks, once they have been looked at."""
    seen.files += 1
    before = b""
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            if chunk.count(0) < len(chunk):
                _look(seen, wanted, name, before + chunk)
            before = chunk[-LONGEST:]
            seen.size += len(chunk)
            yield chunk


def _look(seen: Scan, wanted: Wanted, name: str, content: bytes) -> None:
    for what, shapes in wanted.items():
        if any(shape in content for shape in shapes) and name not in seen.found.setdefault(what, []):
            seen.found[what].append(name)
    for what in [what for what, files in seen.found.items() if not files]:
        del seen.found[what]
