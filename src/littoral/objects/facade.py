"""The capability as the site composes it.

objects = await Objects.open(store, folder, region="us-east-1", account="000000000000")
await objects.start()           # clears what a crash left, then delivers notifications
objects.invoker = functions     # whenever there is one
…objects.api…                   # botocore's service "s3"
await objects.close()           # before the store is closed
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from littoral.aws.invoke import Invoker
from littoral.aws.service import ServiceError
from littoral.aws.vault import Vault
from littoral.net.client import HttpClient
from littoral.net.message import Body
from littoral.objects.access.gate import Gate
from littoral.objects.api import S3Api
from littoral.objects.api.notification import Permits
from littoral.objects.api.parts import DEFAULT_TYPE, Parts, checked_metadata
from littoral.objects.conditions import Span
from littoral.objects.content import Shelf
from littoral.objects.encryption import Keys
from littoral.objects.events import Origin
from littoral.objects.facts import Facts
from littoral.objects.index import Index
from littoral.objects.listing import list_page
from littoral.objects.outbox import Outbox, Posts
from littoral.objects.replication.fetching import Destinations, FarBucket
from littoral.objects.replication.sending import Replicator
from littoral.objects.replication.targets import Elsewhere, FarTarget
from littoral.objects.room import Room
from littoral.objects.scrub import Scrub
from littoral.objects.serverlogs.delivery import ServerLogs
from littoral.objects.spooled import Tidying
from littoral.objects.sweeping import Sweeper
from littoral.objects.tiering.tier import Tier
from littoral.store.contract import Blobs
from littoral.store.embedded import EmbeddedStore


class Objects:
    """Made by ``open``. ``api`` is the class for botocore's service "s3"."""

    def __init__(
        self,
        index: Index,
        shelf: Shelf,
        keys: Keys,
        outbox: Outbox,
        sweeper: Sweeper,
        replicator: Replicator,
        scrub: Scrub,
        tier: Tier,
        tidying: Tidying,
        gate: Gate,
        api: S3Api,
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._shelf = shelf
        self._keys = keys
        self._outbox = outbox
        self.sweeper = sweeper
        self._replicator = replicator
        self.scrub = scrub
        self.tier = tier
        self._tidying = tidying
        self.logs = api.logs
        self.gate = gate
        self._clock = clock
        self.api = api

    @classmethod
    async def open(
        cls,
        store: EmbeddedStore,
        folder: Path,
        *,
        region: str = "us-east-1",
        account: str = "000000000000",
        closed: bool = True,
        blobs: Blobs | None = None,
        invoker: Invoker | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """``folder`` holds the index, ``blobs`` the bytes, else the store. New buckets are ``closed`` to lists and to
        the public. Raises StorageFailed."""
        file = folder / "objects.db"
        index = await Index.open(file, region, account, store.key_of(file))
        keys = Keys(await asyncio.to_thread(store.seal, folder / "objects.key"), region, account)
        room = Room(folder, elsewhere=blobs is not None)
        shelf = Shelf(blobs or store.blobs("objects"), index, room, store.spool)
        scrub = Scrub(index, shelf, keys, Destinations(index, shelf, keys), clock)
        tier = Tier(index, shelf, keys, clock)
        outbox = Outbox(index, clock)
        outbox.invoker = invoker
        gate = Gate(index, account)
        api = S3Api(Parts(index, shelf, keys, gate, region, account, closed))
        replicator = api.replicator = Replicator(index, clock)
        api.logs = ServerLogs(index.logging, api.put_bytes, region, account, clock)
        sweeper, tidying = Sweeper(index, clock), Tidying(store.spool)
        return cls(index, shelf, keys, outbox, sweeper, replicator, scrub, tier, tidying, gate, api, clock)

    async def start(self) -> None:
        """Raises StorageFailed."""
        await self._shelf.start()
        self._outbox.start()
        self.sweeper.start()
        self._replicator.start()
        self.scrub.start()
        self.tier.start()
        self._tidying.start()
        self.logs.start()

    async def close(self) -> None:
        await self._tidying.close()
        await self.tier.close()
        await self.scrub.close()
        await self._replicator.close()
        await self.logs.close()
        await self.sweeper.close()
        await self._outbox.close()
        await self._shelf.close()
        await self._index.close()

    @property
    def invoker(self) -> Invoker | None:
        """Who takes notifications. Until there is one they wait."""
        return self._outbox.invoker

    @invoker.setter
    def invoker(self, invoker: Invoker | None) -> None:
        self._outbox.invoker = invoker
        self._outbox.wake()

    def send_to(self, bus: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Who takes what buckets send to EventBridge (``busevents``); it is durable there when this returns."""
        self._outbox.bus = bus

    def keep_keys_with(self, vault: Vault) -> None:
        """Whose keys SSE-KMS may name. Before ``start``."""
        self._keys.vault = vault

    def post_to(self, posts: Posts) -> None:
        """Who takes what buckets send to queues and topics; until there is one it waits, and only the form of an ARN
        is checked."""
        self._outbox.posts = self.api.posts = posts
        self._outbox.wake()

    @property
    def permits(self) -> Permits | None:
        """Asked when a notification is configured: may S3 call this function for this bucket?"""
        return self.api.permits

    @permits.setter
    def permits(self, permits: Permits | None) -> None:
        self.api.permits = permits

    def replicate_to(self, places: Mapping[str, Elsewhere], client: HttpClient) -> None:
        """Destinations of replications that are not buckets of this place, by the bucket's name."""
        self._replicator.far = {
            bucket: FarTarget(client, place, bucket, self._shelf, self._keys) for bucket, place in places.items()
        }
        back = Destinations(self._index, self._shelf, self._keys)
        back.far = {bucket: FarBucket(client, place, bucket) for bucket, place in places.items()}
        self.scrub.replica = back
        self.tier.far = back.far
        self._shelf.above = self.tier

    @property
    def lie_above(self) -> set[str]:
        """The buckets elsewhere that have bytes of objects which are no more here."""
        return self._index.away_targets()

    async def put_bytes(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content_type: str = DEFAULT_TYPE,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """PutObject for callers in this process; returns the ETag without quotes. Durable on return, and notified
        like any other. Raises ServiceError as PutObject does."""
        facts = Facts({"ContentType": content_type}, checked_metadata(metadata))
        origin = Origin("littoral", "127.0.0.1", "INPROCESS", self._clock())
        return await self.api.put_bytes(bucket, key, data, facts, origin)

    async def put_body(self, bucket: str, key: str, body: Body, size: int) -> None:
        """The same of a body of ``size`` bytes that need not be in memory."""
        origin = Origin("littoral", "127.0.0.1", "INPROCESS", self._clock())
        await self.api.put_body(bucket, key, body, size, Facts({"ContentType": DEFAULT_TYPE}), origin)

    def keys(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys under a prefix, in order, with their sizes; what changes meanwhile may be seen or not. Raises
        ServiceError: NoSuchBucket."""
        self._index.bucket(bucket)
        more, after = True, ""
        while more:
            page = list_page(partial(self._index.page, bucket), prefix=prefix, after=after)
            more, after = page.truncated, page.last
            yield from ((row[0], row[1]) for row in page.rows)

    def has_bucket(self, bucket: str) -> bool:
        try:
            self._index.bucket(bucket)
        except ServiceError:
            return False
        return True

    async def get_bytes(self, bucket: str, key: str) -> bytes:
        """Raises ServiceError: NoSuchBucket, NoSuchKey."""
        return b"".join([chunk async for chunk in self.chunks(bucket, key)])

    def chunks(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Raises ServiceError: NoSuchBucket, NoSuchKey, InvalidRequest for what only a customer's key opens."""
        stored = self._index.get(bucket, key)
        data_key = self._keys.opened(stored.facts.encryption, None)
        return self._shelf.read(stored.content, Span(0, stored.content.size), data_key)
