"""``KeyStore``: the capability as the site sees it.

seal = store.seal(folder / "kms.key")
keys = await KeyStore.open(store.records("kms"), seal, region="us-east-1", account="000000000000")
keys.api                         # for botocore's service "kms"
keys.wrap(arn, key, about)       # for who keeps objects: in memory, at once
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Self

from littoral.kms.api import KmsApi
from littoral.kms.catalog import Catalog
from littoral.kms.using import decrypted, encrypted
from littoral.store.contract import Records
from littoral.store.sealed import Seal


class KeyStore:
    """Owns nothing that runs; there is nothing to close but the store."""

    def __init__(self, catalog: Catalog, account: str) -> None:
        self._catalog = catalog
        self.api = KmsApi(catalog, account)

    @classmethod
    async def open(
        cls, records: Records, seal: Seal, *, region: str, account: str, clock: Callable[[], float] = time.time
    ) -> Self:
        """Material is sealed with ``seal``. Raises StoreError."""
        catalog = Catalog(records, seal, region, account, clock)
        await catalog.load()
        async with catalog.lock:
            await catalog.purge()
            await catalog.rotate()
        return cls(catalog, account)

    def usable(self, identifier: str) -> str:
        """The ARN of a key that may be used now. Raises ServiceError as KMS does."""
        key = self._catalog.find(identifier)
        key.check_usable()
        return key.arn

    def wrap(self, identifier: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Raises ServiceError as Encrypt does."""
        key = self._catalog.find(identifier)
        key.check_usable()
        return encrypted(self._catalog, key, plaintext, context)

    def unwrap(self, blob: bytes, context: Mapping[str, str]) -> bytes:
        """Raises ServiceError as Decrypt does."""
        return decrypted(self._catalog, blob, context)[1]
