"""The message streams of a core, by name: their definitions, their logs, how far their exports have come.

What is made, changed or deleted is durable when the call returns. A deleted stream's name may be used again at once:
what is kept of it has an identity of its own. A stream in memory is there again after a restart, empty, and its numbers
begin anew.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from littoral.core.region.state import everything
from littoral.core.streammanager.log import Kept, Log, log_of
from littoral.protocols.streammanager.definition import (
    Definition,
    Export,
    Persistence,
    ReadOptions,
    check_update,
    definition_of,
)
from littoral.protocols.streammanager.wire import Refused, Status
from littoral.store.contract import Records, Streams
from littoral.store.documents import Documents

LARGEST_ANSWER = 32 * 1024 * 1024  # bytes of the messages of one read
LOGS = "streammanager/"  # before the identity of a stream: its stream of the store
DEFINED, REACHED = "streammanager/stream/", "streammanager/export/"


@dataclass(slots=True)
class Progress:
    """How far an export has come. ``next`` is the sequence number that it sends next."""

    next: int
    start: int  # its startSequenceNumber, when ``next`` was made of it
    messages: int = 0
    size: int = 0  # bytes of what was sent
    tried: int = 0  # Unix milliseconds of the last try
    problem: str = ""  # of the last try


@dataclass(slots=True, eq=False)
class MessageStream:
    definition: Definition
    uid: str
    log: Log
    progress: dict[str, Progress] = field(default_factory=dict)  # by the export's identifier
    newest: int = -1  # sequence number
    arrival: asyncio.Event = field(default_factory=asyncio.Event)  # set and replaced at each append

    @property
    def document(self) -> dict[str, Any]:
        return {"uid": self.uid, "definition": dict(self.definition.document)}

    def key_of(self, export: Export) -> str:
        """Of what is kept of its progress."""
        return f"{self.uid}/{export.identifier}"


class MessageStreams:
    """``load`` it before use. ``told`` is called after each change and each append."""

    def __init__(self, records: Records, streams: Streams) -> None:
        self._definitions = Documents(records, DEFINED)
        self._reached = Documents(records, REACHED)
        self._streams = streams
        self._lock = asyncio.Lock()
        self.all: dict[str, MessageStream] = {}
        self.told: Callable[[], None] = _nobody

    async def load(self) -> None:
        for name, kept in await everything(self._definitions):
            definition = definition_of(kept["definition"])
            stream = self._made(definition, kept["uid"])
            await stream.log.change(definition)
            stream.newest = (await stream.log.extent()).newest
            if definition.persistence is Persistence.FILE:
                for identifier, reached in await everything(self._reached, f"{stream.uid}/"):
                    stream.progress[identifier.partition("/")[2]] = Progress(**reached)
            self._aim(stream)
            self.all[name] = stream
        known = {LOGS + each.uid for each in self.all.values()}
        for left in set(await self._streams.names(LOGS)) - known:  # by a crash while it was made or deleted
            await self._streams.delete(left)

    # ------------------------------------------------------------------------------------------------ streams

    async def create(self, definition: Definition) -> None:
        """Raises Refused, StoreError."""
        async with self._lock:
            if definition.name in self.all:
                raise Refused(Status.INVALID_REQUEST, f"stream {definition.name} already exists")
            self._check_status_streams(definition)
            stream = self._made(definition, secrets.token_hex(8))
            await stream.log.change(definition)
            await self._definitions.put(definition.name, stream.document)
            self._aim(stream)
            self.all[definition.name] = stream
        self.told()

    async def update(self, definition: Definition) -> None:
        """Raises Refused, StoreError."""
        async with self._lock:
            stream = self.named(definition.name)
            check_update(stream.definition, definition, (await stream.log.extent()).size, stream.newest)
            self._check_status_streams(definition)
            document = {"uid": stream.uid, "definition": dict(definition.document)}
            await self._definitions.put(definition.name, document)
            await stream.log.change(definition)
            stream.definition = definition
            await self._forget(stream, keep={each.identifier for each in definition.exports})
            self._aim(stream)
        self.told()

    async def delete(self, name: str) -> None:
        """Raises Refused, StoreError."""
        async with self._lock:
            stream = self.named(name)
            await self._definitions.delete(name)
            del self.all[name]
            await stream.log.delete()
            await self._forget(stream, keep=set())
            stream.arrival.set()
        self.told()

    def named(self, name: str) -> MessageStream:
        """Raises Refused."""
        found = self.all.get(name)
        if found is None:
            raise Refused(Status.RESOURCE_NOT_FOUND, f"there is no stream {name}")
        return found

    async def describe(self, name: str) -> Mapping[str, Any]:
        """A MessageStreamInfo. Raises Refused, StoreError."""
        stream = self.named(name)
        extent = await stream.log.extent()
        return {
            "definition": stream.definition.document,
            "storageStatus": {
                "oldestSequenceNumber": extent.oldest,
                "newestSequenceNumber": extent.newest,
                "totalBytes": extent.size,
            },
            "exportStatuses": [
                _status(each.identifier, stream.progress[each.identifier]) for each in stream.definition.exports
            ],
        }

    # ------------------------------------------------------------------------------------------------ messages

    async def append(self, name: str, payload: bytes) -> int:
        """Raises Refused, StoreError."""
        stream = self.named(name)
        sequence = await stream.log.append(payload)
        stream.newest = max(stream.newest, sequence)
        arrived, stream.arrival = stream.arrival, asyncio.Event()
        arrived.set()
        self.told()
        return sequence

    async def read(self, name: str, options: ReadOptions) -> Sequence[Kept]:
        """Raises Refused, StoreError."""
        try:
            async with asyncio.timeout(options.timeout or None):
                while True:
                    stream = self.named(name)
                    arrival = stream.arrival
                    found = await stream.log.read(options.start, options.most, LARGEST_ANSWER)
                    if len(found.messages) >= options.least:
                        return found.messages
                    if found.cut:  # with what comes they are as large, so it is not waited for
                        problem = f"one answer has at most {LARGEST_ANSWER} bytes"
                        raise Refused(Status.RESPONSE_PAYLOAD_TOO_LARGE, problem)
                    if not options.timeout:
                        break
                    await arrival.wait()
        except TimeoutError:
            pass
        raise Refused(Status.NOT_ENOUGH_MESSAGES, f"stream {name} has fewer messages than {options.least} to be read")

    # ------------------------------------------------------------------------------------------------ exports

    async def reached(self, stream: MessageStream, export: Export) -> None:
        """Make the progress of an export durable. Raises StoreError."""
        if stream.definition.persistence is Persistence.FILE and self.all.get(stream.definition.name) is stream:
            progress = stream.progress.get(export.identifier)
            if progress is not None:
                await self._reached.put(stream.key_of(export), asdict(progress))

    def _aim(self, stream: MessageStream) -> None:
        """Each export goes on where it was, or begins where it is to start."""
        for export in stream.definition.exports:
            known = stream.progress.get(export.identifier)
            if known is None or known.start != export.start:
                stream.progress[export.identifier] = Progress(export.start, export.start)

    async def _forget(self, stream: MessageStream, keep: set[str]) -> None:
        for identifier in stream.progress.keys() - keep:
            del stream.progress[identifier]
            await self._reached.delete(f"{stream.uid}/{identifier}")

    def _check_status_streams(self, definition: Definition) -> None:
        for export in definition.exports:
            name = export.status_stream
            if name is not None and name not in self.all:
                raise Refused(Status.INVALID_REQUEST, f"there is no stream {name} to tell the status of exports")

    def _made(self, definition: Definition, uid: str) -> MessageStream:
        return MessageStream(definition, uid, log_of(self._streams, LOGS + uid, definition))


def _status(identifier: str, progress: Progress) -> dict[str, Any]:
    return {
        "exportConfigIdentifier": identifier,
        "lastExportedSequenceNumber": progress.next - 1,
        "lastExportTime": progress.tried,
        "errorMessage": progress.problem,
        "exportedBytesFromStream": progress.size,
        "exportedMessagesCount": progress.messages,
    }


def _nobody() -> None:
    return None
