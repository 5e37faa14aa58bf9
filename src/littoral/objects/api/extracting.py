"""A PUT of an archive with ``x-amz-meta-snowball-auto-extract: true``: its files become objects, all durable when it is
answered, and the archive itself is not kept.

AWS extracts when a Snowball Edge is imported; here it is done as the archive arrives, at any place. Entries of up to
1 MiB are taken in groups, whose rows share a commit. What is wrong with the archive is known before its first object is
written; where the disk ends half way the objects until then are there, and the PUT fails.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from littoral.aws.service import Call
from littoral.net.message import Body, BytesBody
from littoral.objects.access.needs import WRITE_OBJECT
from littoral.objects.api.parts import DEFAULT_TYPE, Operations, checked_metadata, origin_of
from littoral.objects.checksums import ALGORITHMS, Algorithm, Stated
from littoral.objects.conditions import Span
from littoral.objects.content import Chunks
from littoral.objects.encryption import CustomerKey, Sealing, kept_of
from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Tags, Upload
from littoral.objects.inline import INLINE, Received, inlined
from littoral.objects.locks import Lock
from littoral.objects.placing import New
from littoral.objects.steps import NO_CONDITIONS, WriteConditions
from littoral.store.strides import STRIDE

if TYPE_CHECKING:
    from littoral.objects.archives import Archive, Member

EXTRACT: Final = "snowball-auto-extract"  # of an object's own metadata
IN_MEMORY: Final = 32 * 1024 * 1024  # bytes of an archive that need not be on the disk first
GROUP: Final = 4 * 1024 * 1024  # bytes of entries that are read before they are written
SMALL: Final = 1024 * 1024
AT_ONCE: Final = 256  # rows that are written in one turn of the loop


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the PUT says of every object that comes out of it."""

    held: Bucket
    facts: Facts
    tags: Tags
    lock: Lock | None
    encryption: tuple[str | None, str | None, CustomerKey | None]
    algorithm: Algorithm | None

    @property
    def stated(self) -> Stated:
        return Stated(algorithm=self.algorithm, wanted=True)

    def facts_of(self, member: Member, received: Received, sealing: Sealing | None) -> Facts:
        headers = {"ContentType": DEFAULT_TYPE} | member.headers
        return Facts(headers, member.metadata, received.checksum, encryption=kept_of(sealing), acl=self.facts.acl)


class ExtractOperations(Operations):
    async def _extract(self, call: Call, bucket: str, content: Content, key: bytes | None, how: Wanted) -> None:
        """``key`` is the archive's data key. Raises InvalidRequest, AccessDenied, MetadataTooLarge before anything
        is written."""
        from littoral.objects.archives import Archive  # it loads tarfile, for few places

        archive = await asyncio.to_thread(Archive, await self._file(content, key))
        for member in archive.members:
            self._gate.check(call, WRITE_OBJECT, bucket, member.name)
            if member.about is not None:
                checked_metadata(member.metadata)
        for group in _groups(archive.members):
            await self._write_group(call, bucket, archive, group, how)

    async def _extract_upload(self, call: Call, upload: Upload, content: Content) -> None:
        """The same of an archive that came in parts; the upload is then over, and no object."""
        kept = upload.facts.encryption
        key = self._keys.opened(kept, None)
        held = self._index.bucket(upload.bucket)
        asked = (None if kept is None else kept.kind, None, None)
        algorithm = ALGORITHMS[upload.algorithm] if upload.algorithm else None
        how = Wanted(held, upload.facts, upload.tags, upload.lock, asked, algorithm)
        await self._extract(call, upload.bucket, content, key, how)
        await self._index.drop_upload(upload.bucket, upload.key, upload.id)

    async def _file(self, content: Content, key: bytes | None) -> io.BytesIO | io.BufferedReader:
        """The archive as a file for threads."""
        if content.inline is not None:
            return io.BytesIO(b"".join([data async for data in self._shelf.read(content, Span(0, content.size), key)]))
        loop = asyncio.get_running_loop()

        async def span(offset: int, length: int) -> bytes:
            return b"".join([data async for data in self._shelf.read(content, Span(offset, length), key)])

        def read(offset: int, length: int) -> bytes:
            return asyncio.run_coroutine_threadsafe(span(offset, length), loop).result()

        from littoral.objects.archives import Window

        return io.BufferedReader(Window(content.size, read), STRIDE)

    async def _write_group(self, call: Call, bucket: str, archive: Archive, group: list[Member], how: Wanted) -> None:
        if group[0].size > SMALL:
            await self._write(call, bucket, group[0], Chunks(_chunks(archive, group[0])), how)
            return
        few, bodies = await asyncio.to_thread(self._taken, archive, group, how)
        origin, event = replace(origin_of(call), replica=None), "ObjectCreated:Put"  # it is no version of elsewhere
        writes = [self._write(call, bucket, member, BytesBody(data), how) for member, data in bodies]
        rows = [
            self._index.put_all(bucket, few[start : start + AT_ONCE], how.tags, how.lock, origin, event)
            for start in range(0, len(few), AT_ONCE)
        ]
        for outcome in await asyncio.gather(*rows, *writes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _taken(
        self, archive: Archive, group: list[Member], how: Wanted
    ) -> tuple[list[New], list[tuple[Member, bytes]]]:
        """Those that lie in the index, ready for it, and the bodies of the others. Blocking."""
        few, bodies = [], []
        for member in group:
            data = archive.read(member)
            if member.size > INLINE:
                bodies.append((member, data))
                continue
            sealing = self._sealing_of(how)
            received = inlined(data, member.size, how.stated, {}, sealing)
            few.append(New(member.name, received.content, how.facts_of(member, received, sealing)))
        return few, bodies

    def _sealing_of(self, how: Wanted) -> Sealing | None:
        return self._keys.sealing(*how.encryption, how.held.encryption)

    async def _write(self, call: Call, bucket: str, member: Member, body: Body, how: Wanted) -> None:
        sealing = self._sealing_of(how)
        received = await self._shelf.receive(body, how.stated, {}, member.size, sealing=sealing)
        facts = how.facts_of(member, received, sealing)
        await self._keep(bucket, member.name, received.content, facts, how.tags, origin_of(call), lock=how.lock)

    async def _keep(
        self,
        bucket: str,
        key: str,
        content: Content,
        facts: Facts,
        tags: Tags,
        origin: Origin,
        conditions: WriteConditions = NO_CONDITIONS,
        lock: Lock | None = None,
        how: str = "Put",
    ) -> str | None:
        """Name a new content in the index; where that fails its blobs go. Its version."""
        event = f"ObjectCreated:{how}"
        try:
            return await self._index.put(
                bucket, key, content, facts, tags, origin, event, conditions=conditions, lock=lock
            )
        except BaseException:
            self._shelf.abandon([piece.blob for piece in content.pieces])
            raise


def _groups(members: list[Member]) -> Iterator[list[Member]]:
    """Small ones together, each large one alone."""
    group: list[Member] = []
    size = 0
    for member in members:
        if group and (member.size > SMALL or size + member.size > GROUP or group[0].size > SMALL):
            yield group
            group, size = [], 0
        group.append(member)
        size += member.size
    if group:
        yield group


async def _chunks(archive: Archive, member: Member) -> AsyncIterator[bytes]:
    following = archive.chunks(member, STRIDE)
    while data := await asyncio.to_thread(following):
        yield data
