"""Blobs of a place that has outgrown its disk: what was written before lies here, what is written now over there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from littoral.store.contract import BlobInfo, Blobs, BlobWriter


class OutgrownBlobs:
    def __init__(self, here: Blobs, there: Blobs) -> None:
        self._here = here
        self._there = there

    async def create(self, key: str) -> BlobWriter:
        return await self._there.create(key)

    async def put(self, key: str, data: bytes) -> BlobInfo:
        return await self._there.put(key, data)

    async def info(self, key: str) -> BlobInfo | None:
        return await self._there.info(key) or await self._here.info(key)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return await (await self._of(key)).get(key, offset=offset, length=length)

    async def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> AsyncIterator[bytes]:
        async for chunk in (await self._of(key)).stream(key, offset=offset, length=length, fresh=fresh):
            yield chunk

    async def delete(self, key: str) -> bool:
        there = await self._there.delete(key)
        here = await self._here.info(key) is not None and await self._here.delete(key)
        return here or there

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[BlobInfo]:
        found = {info.key: info for info in await self._here.scan(prefix, after=after, limit=limit)}
        found |= {info.key: info for info in await self._there.scan(prefix, after=after, limit=limit)}
        return [found[key] for key in sorted(found, key=str.encode)[:limit]]

    async def _of(self, key: str) -> Blobs:
        return self._here if await self._there.info(key) is None else self._there
