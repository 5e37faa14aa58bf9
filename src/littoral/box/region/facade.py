"""``BoxJobs``: the region's side of boxes as the site sees it.

jobs = await BoxJobs.open(records, folder / "box.key", authority, buckets, key, region="us-east-1", account="…")
jobs.api                         # for botocore's service "snowball"
jobs.steps                       # what prepares, fills and reads boxes
jobs.links.routes()              # manifests, for who has a link
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Protocol, Self

from littoral.aws.service import Call
from littoral.aws.vault import Vault
from littoral.box.region.api import SnowballApi
from littoral.box.region.book import Book
from littoral.box.region.handing import ManifestLinks
from littoral.box.region.steps import Steps
from littoral.net.pki import Authority
from littoral.store.contract import Records
from littoral.store.sealed import Seal


class Buckets(Protocol):
    """The region's objects."""

    def has(self, bucket: str) -> bool: ...

    def link(self, call: Call, where: str) -> str:
        """A URL by which anybody gets what lies at BUCKET/KEY, for an hour."""


class BoxJobs:
    """Owns nothing that runs; there is nothing to close but the store."""

    def __init__(self, book: Book, steps: Steps, buckets: Buckets, key: bytes) -> None:
        async def manifest(job: str) -> bytes | None:
            secret = await book.secret(job)
            return None if secret is None else base64.b64decode(secret["manifest"])

        self.steps = steps
        self.links = ManifestLinks(key, manifest)
        self.api = SnowballApi(book, buckets.has, buckets.link, self.links.link)

    @classmethod
    async def open(
        cls,
        records: Records,
        key_file: Path,
        authority: Authority,
        buckets: Buckets,
        key: bytes,
        vault: Vault | None = None,
        *,
        region: str,
        account: str,
    ) -> Self:
        """``key_file`` seals what opens boxes, and is made where there is none; ``key`` signs links to manifests;
        ``vault`` has the keys that jobs may name. Raises OSError, StoreError."""
        book = Book(records, Seal.load_or_create(key_file), vault)
        await book.load()
        return cls(book, Steps(book, authority, region, account), buckets, key)
