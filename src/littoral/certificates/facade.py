"""``CertificateStore``: the capability as the site sees it.

seal = store.seal(folder / "certificates.key")
certificates = await CertificateStore.open(store.records("certificates"), seal, authority, users, region=…, account=…)
certificates.api                 # for botocore's service "acm"
certificates.start()             # what it has issued and somebody shows is renewed before it ends
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Self

from littoral.certificates.api import CertificatesApi
from littoral.certificates.catalog import Catalog
from littoral.certificates.certificate import OWN
from littoral.certificates.ports import Users
from littoral.certificates.reading import covers
from littoral.net.pki import Authority
from littoral.store.contract import Records
from littoral.store.sealed import CannotOpen, Seal

log = logging.getLogger("littoral.certificates")

BEFORE = 60 * 86400.0  # seconds before its end in which a certificate is renewed
LOOK = 3600.0  # seconds between two looks


class CertificateStore:
    def __init__(self, catalog: Catalog, users: Users, api: CertificatesApi) -> None:
        self._catalog = catalog
        self._users = users
        self.api = api
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, records: Records, seal: Seal, authority: Authority, users: Users, *, region: str, account: str
    ) -> Self:
        """Keys are sealed with ``seal``. Raises StoreError."""
        catalog = Catalog(records, seal)
        await catalog.load()
        return cls(catalog, users, CertificatesApi(catalog, users, authority, region, account))

    def start(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            try:
                await self.renew_due(time.time())
            except Exception:
                log.exception("certificates could not be renewed; tried again in %d s", LOOK)
            await asyncio.sleep(LOOK)

    async def renew_due(self, now: float) -> None:
        """What was issued here, is shown, and ends soon, or has lost its key."""
        for each in self._catalog.all():
            due = each.facts.ends - now < BEFORE or each.arn in self._catalog.lost
            if each.kind == OWN and due and self._users.of(each.arn):
                await self.api.renew(each.arn, now)
                log.info("certificate %s is renewed", each.arn)

    # ----------------------------------------------------------------------------------- for who shows them

    def missing(self, arn: str, hosts: Sequence[str], now: float) -> list[str] | None:
        """The hosts that a certificate does not cover; None where there is none that is valid now."""
        found = self._catalog.usable(arn)
        if found is None or found.status(now) != "ISSUED":
            return None
        return [host for host in hosts if not covers(found.facts.names, host)]

    def fingerprint(self, arn: str) -> str | None:
        """Of the certificate that holds now."""
        found = self._catalog.usable(arn)
        return found.fingerprint if found is not None else None

    async def pair(self, arn: str, fingerprint: str) -> tuple[bytes, bytes] | None:
        """Chain and key (PEM); None where that certificate holds no more."""
        found = self._catalog.usable(arn)
        if found is None or found.fingerprint != fingerprint:
            return None
        try:
            return found.shown, await self._catalog.key(found)
        except CannotOpen:  # replaced while it was read: one whose key is lost is not usable
            return None
