"""``SecretStore``: the capability as the site sees it.

seal = store.seal(folder / "secrets.key")
secrets = await SecretStore.open(store.records("secrets"), seal, region="us-east-1", account="000000000000")
secrets.api                      # for botocore's service "secretsmanager"
"""

from __future__ import annotations

import time
from typing import Self

from littoral.aws.vault import Vault
from littoral.secrets.api import SecretsApi
from littoral.secrets.catalog import Catalog
from littoral.secrets.errors import not_found
from littoral.secrets.secret import CURRENT
from littoral.store.contract import Records
from littoral.store.sealed import Seal


class SecretStore:
    """Owns nothing that runs; there is nothing to close but the store."""

    def __init__(self, catalog: Catalog, region: str, account: str) -> None:
        self._catalog = catalog
        self.api = SecretsApi(catalog, region, account)

    @classmethod
    async def open(cls, records: Records, seal: Seal, *, region: str, account: str, vault: Vault | None = None) -> Self:
        """Values are sealed with ``seal``, and under keys of ``vault`` where that is asked for. Raises StoreError."""
        catalog = Catalog(records, seal, vault)
        await catalog.load()
        async with catalog.lock:
            await catalog.purge(time.time())
        return cls(catalog, region, account)

    async def current(self, identifier: str) -> str | bytes:
        """The value of the current version, for the place itself. Raises ServiceError."""
        now = time.time()
        secret = self._catalog.find(identifier, now)
        secret.check_there()
        version = secret.staged(CURRENT)
        if version is None:
            raise not_found()
        value = await self._catalog.value(secret, version)
        await self._catalog.accessed(secret, version, now)
        return value if secret.versions[version].binary else value.decode()
