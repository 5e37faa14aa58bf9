"""Certificates by ARN, in memory and on disk: their documents in the clear, their keys sealed.

A key is durable before the document whose certificate it is for, so a crash leaves at most a key nobody knows. Keys
are read when they are asked for, and are nowhere else in memory.
"""

from __future__ import annotations

import asyncio
import logging

from littoral.certificates.certificate import Certificate
from littoral.certificates.errors import invalid_arn, not_found
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.store.sealed import CannotOpen, Seal

log = logging.getLogger("littoral.certificates")


class Catalog:
    """Make changes while holding ``lock``."""

    def __init__(self, records: Records, seal: Seal) -> None:
        self._documents = Documents(records, "certificate/")
        self._keys = records
        self._seal = seal
        self._all: dict[str, Certificate] = {}
        self.lost: set[str] = set()  # ARNs of those whose key nobody can open any more
        self.lock = asyncio.Lock()

    async def load(self) -> None:
        after = ""
        while page := await self._documents.scan(after=after):
            for _, document in page:
                found = Certificate.of(document)
                self._all[found.arn] = found
                await self._look(found)
            after = page[-1][0]

    async def _look(self, certificate: Certificate) -> None:
        try:
            await self.key(certificate)
        except CannotOpen as problem:
            self.lost.add(certificate.arn)
            log.error("certificate %s is shown nowhere until it is imported again: %s", certificate.arn, problem)  # noqa: TRY400

    def all(self) -> list[Certificate]:
        """The oldest first."""
        return sorted(self._all.values(), key=lambda each: (each.created, each.arn))

    def usable(self, arn: str) -> Certificate | None:
        """One that is there, with its key."""
        return self._all.get(arn) if arn not in self.lost else None

    def find(self, arn: str) -> Certificate:
        """Raises InvalidArnException, ResourceNotFoundException."""
        if not arn.split(":", 5)[-1].startswith("certificate/"):
            raise invalid_arn(arn)
        found = self._all.get(arn)
        if found is None:
            raise not_found(arn)
        return found

    async def put_key(self, certificate: Certificate, key: str) -> None:
        """Before ``save`` of that certificate."""
        await self._keys.put(_key(certificate), self._seal.seal(key.encode(), _key(certificate)))

    async def save(self, certificate: Certificate) -> None:
        await self._documents.put(certificate.uid, certificate.document)
        before = self._all.get(certificate.arn)
        self._all[certificate.arn] = certificate
        self.lost.discard(certificate.arn)
        if before is not None and before.fingerprint != certificate.fingerprint:
            await self._keys.delete(_key(before))

    async def forget(self, certificate: Certificate) -> None:
        await self._documents.delete(certificate.uid)
        self._all.pop(certificate.arn, None)
        await self._keys.delete(_key(certificate))

    async def key(self, certificate: Certificate) -> bytes:
        """Raises CannotOpen, also where the certificate has just been replaced."""
        record = await self._keys.get(_key(certificate))
        if record is None:
            raise CannotOpen(f"{certificate.arn} has no such key any more")
        return self._seal.open(record.value, _key(certificate))


def _key(certificate: Certificate) -> str:
    return f"key/{certificate.uid}/{certificate.fingerprint}"
