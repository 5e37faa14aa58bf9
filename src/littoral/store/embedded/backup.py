"""A data folder copied while its place runs: all databases as of one moment, and the files that their rows name.

::

    BEGIN IMMEDIATE on every database     nobody commits, for some milliseconds
    a reader on each sees this moment     and goes on seeing it: the WAL keeps it
    ROLLBACK                              the place goes on
    hard links to all blobs               which never change; one that is replaced stays for ``blobs.LINGER`` seconds
    databases, blobs, the rest            into TO.part, each fsynced; blobs held against their checksums
    TO.part is renamed TO                 so what has the name is whole

It asks nothing of the place, which may be stopped as well. What lies in SQLite files names blobs of the store and
never the other way round, so a moment of all of them is a moment of the place. Encrypted databases are refused: a box
is copied as it lies, while it is locked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from littoral.store.durable import fsync_folder, make_folder
from littoral.store.spool import SPOOL
from littoral.store.sums import BLOCK, Sums

RECORDS = Path("store", "records.db")
BLOBS = Path("store", "blobs")
PINNED = ".backup"  # hard links, while a backup is made
MADE_AGAIN = {  # what a place makes anew from the rest, and what is of one run of it only
    *(Path("functions", name) for name in ("code", "opt", "runtime", "root")),
    *(Path("edge", "cache"), Path("listeners.json"), Path("store", "lock"), Path("store", SPOOL), Path(PINNED), BLOBS),
}
PATIENCE = 30_000  # milliseconds until a database that is always being written is given up
PAGES = 2000  # of a database, copied in one go
PLAIN = b"SQLite format 3\0"


class BackupFailed(Exception):
    """Nothing of it is left; the message is for people."""


@dataclass(frozen=True, slots=True)
class Blob:
    path: Path  # below ``BLOBS``
    size: int
    sums: bytes | None


@dataclass(slots=True)
class Backup:
    """What was copied. ``linked`` blobs are those of an earlier backup, those ``elsewhere`` lie at another endpoint."""

    databases: int = 0
    blobs: int = 0
    bytes: int = 0
    linked: int = 0
    elsewhere: int = 0
    damaged: list[str] = field(default_factory=list)


def back_up(folder: Path, to: Path, since: Path | None = None) -> Backup:
    """Copy the data folder ``folder`` to ``to``, which must not be there. Blobs that the backup ``since`` has are hard
    links to those. What is damaged is copied as it is, and named. Raises BackupFailed."""
    folder = folder.resolve()
    part = to.with_name(f"{to.name}.part")
    _check(folder, to, since)
    try:
        with _alone(folder) as pinned:
            shutil.rmtree(part, ignore_errors=True)
            make_folder(part)
            try:
                found = _copied(folder, part, pinned, None if since is None else since / BLOBS)
                part.rename(to)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            fsync_folder(to.resolve().parent)
            return found
    except (OSError, apsw.Error) as problem:
        raise BackupFailed(f"{problem}") from problem


def _check(folder: Path, to: Path, since: Path | None) -> None:
    records = folder / RECORDS
    if not records.is_file():
        raise BackupFailed(f"{folder} is no data folder of a place")
    with records.open("rb") as head:
        if head.read(len(PLAIN)) != PLAIN:
            raise BackupFailed(f"{folder} is a box, and encrypted: lock it, and copy it as it lies")
    if to.exists():
        raise BackupFailed(f"{to} is there already")
    if folder in to.resolve().parents:
        raise BackupFailed(f"{to} is within the data folder")
    if since is not None and not (since / RECORDS).is_file():
        raise BackupFailed(f"{since} is no backup")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """One backup at a time; the folder of its hard links. Raises BackupFailed."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    pinned = folder / PINNED
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise BackupFailed("another backup of this place is being made") from problem
        shutil.rmtree(pinned, ignore_errors=True)  # one that was killed left it
        yield pinned
    finally:
        shutil.rmtree(pinned, ignore_errors=True)
        os.close(lock)


def _copied(folder: Path, part: Path, pinned: Path, since: Path | None) -> Backup:
    found = Backup()
    with ExitStack() as open_until:
        files = list(_files(folder))
        databases = [file for file in files if file.suffix == ".db"]
        readers = _moment([folder / file for file in databases], open_until)
        blobs = _blobs(readers[databases.index(RECORDS)], folder, found)
        source = _pin(folder / BLOBS, pinned, blobs)
        for file, reader in zip(databases, readers, strict=True):
            _copy_database(reader, part / file)
        found.databases = len(databases)
    for file in files:
        if file.suffix != ".db" and not file.name.endswith((".db-wal", ".db-shm", ".part", ".new")):
            with contextlib.suppress(FileNotFoundError):  # such as a log that was rotated
                _copy(folder / file, part / file)
    for blob in blobs:
        _copy_blob(blob, source, part / BLOBS, since, found)
    for within, _, _ in os.walk(part):
        fsync_folder(Path(within))
    return found


def _files(folder: Path) -> Iterator[Path]:
    """What is to be copied, as paths below ``folder``, without blobs."""
    for within, folders, names in os.walk(folder):
        here = Path(within).relative_to(folder)
        folders[:] = [name for name in folders if here / name not in MADE_AGAIN]
        for name in names:
            file = here / name
            if file not in MADE_AGAIN and (folder / file).is_file() and not (folder / file).is_symlink():
                yield file


def _moment(files: Sequence[Path], open_until: ExitStack) -> list[apsw.Connection]:
    """A reader on each database; what they see is of one moment."""

    def connect(file: Path) -> apsw.Connection:
        made = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
        open_until.callback(made.close, True)
        made.set_busy_timeout(PATIENCE)
        return made

    readers = [connect(file) for file in files]
    with ExitStack() as halted:
        for file in files:
            writer = connect(file)
            writer.execute("BEGIN IMMEDIATE")
            halted.callback(writer.execute, "ROLLBACK")
        for reader in readers:
            reader.execute("BEGIN")
            list(reader.execute("SELECT count(*) FROM sqlite_schema"))
    return readers


def _blobs(records: apsw.Connection, folder: Path, found: Backup) -> list[Blob]:
    """Those that lie here."""
    here: list[Blob] = []
    for bucket, file, size, sums in records.execute("SELECT bucket, file, size, sums FROM blobs"):
        if (folder / BLOBS / bucket).is_dir():
            here.append(Blob(Path(bucket, file), size, sums))
        else:
            found.elsewhere += 1
    return here


def _pin(folder: Path, pinned: Path, blobs: Sequence[Blob]) -> Path:
    """Where the blobs may be copied from at leisure. Raises BackupFailed."""
    for bucket in {blob.path.parent for blob in blobs}:
        make_folder(pinned / bucket)
    try:
        for blob in blobs:
            (pinned / blob.path).hardlink_to(folder / blob.path)
    except FileNotFoundError as problem:
        raise BackupFailed(f"{problem.filename2} is missing: littoral objects scrub, or try again") from problem
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        return folder  # a file system without hard links: one that goes meanwhile makes it fail
    return pinned


def _copy_database(reader: apsw.Connection, to: Path) -> None:
    make_folder(to.parent)
    made = apsw.Connection(str(to))
    try:
        with made.backup("main", reader, "main") as copying:
            while not copying.done:
                copying.step(PAGES)
        list(made.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    finally:
        made.close(True)
    to.chmod(0o600)
    with to.open("rb") as opened:
        os.fsync(opened.fileno())


def _copy(source: Path, to: Path) -> None:
    make_folder(to.parent)
    shutil.copy(source, to)
    with to.open("rb") as opened:
        os.fsync(opened.fileno())


def _copy_blob(blob: Blob, source: Path, to: Path, since: Path | None, found: Backup) -> None:
    found.blobs += 1
    found.bytes += blob.size
    file = to / blob.path
    make_folder(file.parent)
    if since is not None and _linked(since / blob.path, file, blob.size):
        found.linked += 1
        return
    sums = None if blob.sums is None else Sums(blob.size, blob.sums)
    sound, number, size = True, 0, 0
    with (source / blob.path).open("rb", buffering=0) as reading, file.open("xb", buffering=0) as writing:
        while block := reading.read(BLOCK):
            writing.write(block)
            sound = sound and (sums is None or sums.sound(number, block))
            number, size = number + 1, size + len(block)
        os.fsync(writing.fileno())
    if not sound or size != blob.size:
        found.damaged.append(str(blob.path))


def _linked(earlier: Path, file: Path, size: int) -> bool:
    try:
        if earlier.stat().st_size != size:
            return False
        file.hardlink_to(earlier)
    except OSError:  # not there, or on another disk
        return False
    return True
