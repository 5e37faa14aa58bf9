"""The far side: a bucket of an S3 endpoint, through obstore (the extra ``littoral[remote]``).

Each request is tried for some seconds; what then does not answer, or refuses, is ``StorageAway``. Knows no blobs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from littoral.store.contract import NotFound, StorageAway

if TYPE_CHECKING:
    from obstore.store import S3Store

CONNECT = timedelta(seconds=3)
REQUEST = timedelta(seconds=45)  # one of at most 8 MiB; what hangs is told before AWS's clients give up, after 60
PATIENCE = timedelta(seconds=20)  # of all tries of a request together
PAUSE = timedelta(seconds=2)  # between two tries, at most
FRESH = timedelta(minutes=5)  # credentials that end are asked for again after so long


class Far(Protocol):
    """Objects by name. Every method raises StorageAway."""

    async def put(self, name: str, data: bytes) -> None:
        """Durable when it returns."""

    async def read(self, name: str, start: int, length: int) -> bytes:
        """Raises NotFound."""

    async def delete(self, names: list[str]) -> None: ...

    def names(self) -> AsyncIterator[list[str]]:
        """All of them, page by page, in no order that counts."""


@dataclass(frozen=True, slots=True)
class Credentials:
    key: str
    secret: str
    token: str | None = None
    ends: bool = False  # they are to be asked for anew


@dataclass(frozen=True, slots=True)
class Where:
    """``prefix`` with no slash at its ends; ``credentials`` is asked whenever they are needed anew."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    credentials: Callable[[], Credentials]

    @property
    def shown(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


class S3Far:
    """Raises ImportError where obstore is not installed."""

    def __init__(self, where: Where) -> None:
        from obstore.store import S3Store

        self._where = where
        self._store: S3Store = S3Store(
            where.bucket,
            prefix=where.prefix or None,
            endpoint=where.endpoint,
            region=where.region,
            virtual_hosted_style_request=False,
            credential_provider=self._credentials,
            client_options={
                "allow_http": where.endpoint.startswith("http://"),
                "connect_timeout": CONNECT,
                "timeout": REQUEST,
            },
            retry_config={"max_retries": 3, "retry_timeout": PATIENCE, "backoff": {"max_backoff": PAUSE}},
        )

    def _credentials(self) -> Any:
        found = self._where.credentials()
        until = datetime.now(UTC) + FRESH if found.ends else None
        return {
            "access_key_id": found.key,
            "secret_access_key": found.secret,
            "token": found.token,
            "expires_at": until,
        }

    async def put(self, name: str, data: bytes) -> None:
        try:
            await self._store.put_async(name, data, use_multipart=False)
        except Exception as problem:
            raise self._away(name, problem) from problem

    async def read(self, name: str, start: int, length: int) -> bytes:
        try:
            return bytes(await self._store.get_range_async(name, start=start, length=length))
        except FileNotFoundError as problem:
            raise NotFound(f"{self._where.shown}/{name} is gone") from problem
        except Exception as problem:
            raise self._away(name, problem) from problem

    async def delete(self, names: list[str]) -> None:
        try:
            await self._store.delete_async(names)
        except FileNotFoundError:
            return
        except Exception as problem:
            raise self._away(names[0], problem) from problem

    async def names(self) -> AsyncIterator[list[str]]:
        try:
            async for page in self._store.list():
                yield [each["path"] for each in page]
        except Exception as problem:
            raise self._away("", problem) from problem

    def _away(self, name: str, problem: Exception) -> StorageAway:
        first = str(problem).strip().splitlines()
        return StorageAway(f"{self._where.shown}/{name}: {first[0] if first else problem!r}")
