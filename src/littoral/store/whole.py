"""Whole blobs, by the streams of whatever engine keeps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from littoral.store.contract import BlobInfo, BlobWriter


class WholeBlobs(ABC):
    @abstractmethod
    async def create(self, key: str) -> BlobWriter: ...

    @abstractmethod
    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> AsyncIterator[bytes]: ...

    async def put(self, key: str, data: bytes) -> BlobInfo:
        writer = await self.create(key)
        try:
            await writer.write(data)
            return await writer.commit()
        except BaseException:
            await writer.abort()
            raise

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return b"".join([chunk async for chunk in self.stream(key, offset=offset, length=length)])
