"""The three stores that every capability keeps its state in, as promises.

Owns: what callers may rely on. Knows no engine. ``littoral.store.embedded`` is the engine on one machine
(SQLite and files); a distributed engine must pass the same suite, ``tests/store/contract_suite.py``.

===========  ==================================  ================================================

store        what it is                          promise in one line
===========  ==================================  ================================================

Records      versioned documents by key          a returned write is durable; compare-and-set per key
Streams      ordered durable logs, consumers     at least once, in order, deduplicated by message id
Blobs        bytes by key                        whole or absent, never half; ranged reads
===========  ==================================  ================================================


*Durable* means: survives ``kill -9`` of this process and a power cut of the machine.
Time in every argument and result is Unix seconds (float). Keys are text of 1-1024 UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable


class StoreError(Exception):
    """Base of what a store raises on purpose."""


class Conflict(StoreError):
    """A compare-and-set met another revision; nothing was written."""


class NotFound(StoreError):
    """No such stream, consumer or blob."""


class StreamFull(StoreError):
    """The stream is at its limit and its retention says ``discard='new'``; nothing was written."""


class StorageFailed(StoreError):
    """The disk refused (full, I/O error). Nothing was acknowledged; the write may be retried later."""


class Damaged(StorageFailed):
    """What is read is not what was written, or the disk does not read it. What was given out before was right."""


class StorageAway(StorageFailed):
    """What the bytes lie on cannot be reached now: the same may be tried again."""


# ---------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Record:
    key: str
    value: bytes
    revision: int  # grows with every write to the bucket of records; never reused


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a watch. ``value`` is None for a deletion."""

    key: str
    value: bytes | None
    revision: int


class Records(Protocol):
    """Versioned documents. No transaction that compares spans two keys."""

    async def get(self, key: str) -> Record | None: ...

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write durably and return the new revision.

        ``expect`` is the revision the caller saw; 0 means "must not exist". Raises Conflict.
        """

    async def put_all(self, values: Mapping[str, bytes]) -> None:
        """Write them all durably, or none; their revisions are in the order of ``values``."""

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        """Delete durably; False when there was nothing. Raises Conflict."""

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[Record]:
        """Records whose key starts with ``prefix`` and is greater than ``after``, in key (UTF-8) order."""

    def watch(self, prefix: str = "") -> AsyncIterator[Change]:
        """Every change after this call, in revision order. Ends never; a slow reader may see only the
        latest of several changes to one key, but always the latest."""


# ---------------------------------------------------------------------------------------------- streams


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a stream keeps. None means without limit. What a durable consumer has not yet acknowledged
    counts too: ``discard='old'`` drops the oldest, ``discard='new'`` raises StreamFull to the publisher."""

    max_messages: int | None = None
    max_bytes: int | None = None
    max_age: float | None = None
    discard: Literal["old", "new"] = "new"
    dedupe_window: float = 7 * 24 * 3600.0
    keep: Literal["unacknowledged", "all"] = "unacknowledged"  # drop what every durable consumer has acknowledged


@dataclass(frozen=True, slots=True)
class Outgoing:
    data: bytes
    message_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a stream holds now: the sequences ``first`` to ``last``; nothing where ``first`` is ``last + 1``."""

    first: int
    last: int
    size: int = 0  # bytes of data


class Message(NamedTuple):
    sequence: int  # 1, 2, 3 … within the stream, without gaps at publication
    data: bytes
    headers: Mapping[str, str]
    published_at: float
    deliveries: int = 1  # how often this consumer has been handed it, this time included


class Consumer(Protocol):
    """A durable position in a stream. What is fetched and not acknowledged within ``ack_wait`` comes again."""

    async def fetch(self, limit: int = 100, *, wait: float = 0.0) -> Sequence[Message]:
        """Up to ``limit`` messages in order; waits up to ``wait`` seconds for the first."""

    async def ack(self, sequences: Sequence[int]) -> None:
        """Durably done with these."""

    async def retry(self, sequence: int, *, delay: float = 0.0) -> None:
        """Deliver again after ``delay`` seconds."""

    async def pending(self) -> int:
        """How many are not yet acknowledged (delivered or not)."""


class Streams(Protocol):
    async def create(self, stream: str, retention: Retention | None = None) -> None:
        """Create, or change the retention of, a stream."""

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> Sequence[int]:
        """Append all durably, or none, in order; return their sequences. A message whose ``message_id`` was
        published within the dedupe window is not stored again: its first sequence is returned.
        Raises NotFound, StreamFull."""

    async def consumer(
        self, stream: str, name: str, *, ack_wait: float = 30.0, start: Literal["first", "new"] = "first"
    ) -> Consumer:
        """The durable consumer of that name, made if new."""

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Message]:
        """Messages with a sequence greater than ``after``; moves nothing."""

    async def extent(self, stream: str) -> Extent:
        """What it holds now. Raises NotFound."""

    async def delete(self, stream: str) -> bool: ...

    async def names(self, prefix: str = "") -> Sequence[str]: ...


# ------------------------------------------------------------------------------------------------ blobs


class Sums(Protocol):
    """Of the blocks of a content, which are of one size but for the last."""

    @property
    def block(self) -> int: ...

    def sound(self, number: int, block: bytes | bytearray | memoryview) -> bool:
        """Whether this is that block as it was written."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    key: str
    size: int
    path: Path | None  # where a local engine keeps it, for sendfile; None elsewhere
    sums: Sums | None = None  # of its content; None where nothing was kept


class BlobWriter(Protocol):
    """Bytes on their way in. Invisible until ``commit`` returns; gone after ``abort`` or a crash."""

    async def write(self, chunk: bytes | memoryview) -> None: ...
    async def commit(self) -> BlobInfo:
        """Durable and visible under its key, replacing what was there at once."""

    async def abort(self) -> None: ...


@runtime_checkable
class NearWriter(BlobWriter, Protocol):
    """Of blobs on this machine's disk."""

    def write_here(self, chunk: bytes | memoryview) -> None:
        """``write``, on a thread of the caller's: nothing else is asked of the writer meanwhile."""


class Lies(NamedTuple):
    """Frames (``frames``) in an open file, as long as its reader is not closed; and what opens them (``handed``)."""

    file: int  # a descriptor
    offset: int
    length: int
    opens: str


class NearReader(Protocol):
    """A stretch of a blob on this machine's disk. A replaced blob goes on reading what it began with."""

    def read_here(self, room: memoryview) -> int:
        """On a thread of the caller's, by one at a time: the next bytes, into ``room``, which has 64 KiB or all that
        is left; 0 at the end. Raises NotFound at the first call, Damaged."""

    def lies(self) -> Lies | None:
        """On a thread of the caller's: the whole stretch as it lies on the disk, sealed; None where it is not. Raises
        as ``read_here``."""

    def close(self) -> None: ...


@runtime_checkable
class NearBlobs(Protocol):
    def reader(self, key: str, offset: int, length: int) -> NearReader | None:
        """Within the blob. None where it had better be streamed. Raises NotFound."""


@runtime_checkable
class FramedWriter(NearWriter, Protocol):
    """One that may take what comes in frames (``protocols.frames``) as it is, on a thread of the caller's."""

    def begin_frames(self, key: bytes, name: str) -> bool:
        """Before anything else: the blob lies under this key, in frames of this name, which no other blob has. False
        where it does not lie sealed. Raises StorageFailed, after which the writer is aborted."""

    def frames_room(self) -> memoryview:
        """Where the next bytes are to be put, never none."""

    def frames_came(self, count: int, content: memoryview) -> None:
        """So many were put there; ``content`` is what was found in the frames that are whole now. Raises as
        ``begin_frames``."""

    def end_frames(self, number: int, begun: int, *, whole: bool) -> None:
        """So many have come; that is the ``whole`` blob, or else of the next frame so many bytes, and what is written
        from now on is content again, from that frame on."""


@runtime_checkable
class SpooledBlobs(Protocol):
    """Blobs on the disk that a ``spool`` is on."""

    async def take_over(self, key: str, file: Path, sums: bytes) -> BlobInfo:
        """A file becomes the content of ``key``: it is moved, and durable when this returns. ``sums`` are those of its
        blocks; it is not read. Raises NotSpooled, StorageFailed."""

    async def lay_out(self, keys: Sequence[str], folder: Path) -> bool:
        """Link the contents of ``keys`` into a new ``folder``, in their order. False where they cannot be had so."""


class Blobs(Protocol):
    async def create(self, key: str) -> BlobWriter: ...

    async def put(self, key: str, data: bytes) -> BlobInfo: ...

    async def info(self, key: str) -> BlobInfo | None: ...

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Raises NotFound, Damaged."""

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> AsyncIterator[bytes]:
        """The same in chunks of at most 1 MiB; ``fresh``: from the disk, though memory has it. A replaced blob goes on
        reading what it began with."""

    async def delete(self, key: str) -> bool: ...

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[BlobInfo]: ...
