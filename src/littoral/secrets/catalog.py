"""Secrets by name, in memory and on disk: their documents in the clear, their values sealed.

A value is durable before the document that names it and goes after that, so what is named is there, and a crash leaves
at most a value nobody knows. Values are read when they are asked for, and are nowhere else in memory.
"""

from __future__ import annotations

import asyncio
import hmac

from littoral.secrets.errors import not_found, undecryptable
from littoral.secrets.secret import DAY, Secret
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.store.sealed import CannotOpen, Seal


class Catalog:
    """Make changes while holding ``lock``."""

    def __init__(self, records: Records, seal: Seal) -> None:
        self._documents = Documents(records, "secret/")
        self._values = records
        self._seal = seal
        self._all: dict[str, Secret] = {}
        self.lock = asyncio.Lock()

    async def load(self) -> None:
        after = ""
        while page := await self._documents.scan(after=after):
            for name, document in page:
                self._all[name] = Secret.of(document)
            after = page[-1][0]

    def all(self, now: float) -> list[Secret]:
        """By name; without those whose time has come."""
        return [each for _, each in sorted(self._all.items()) if each.gone is None or each.gone > now]

    def find(self, identifier: str, now: float) -> Secret:
        """By name, ARN, or ARN without its last part. Raises ResourceNotFoundException."""
        name = identifier
        if identifier.startswith("arn:"):
            name = identifier.split(":", 6)[-1]
        for candidate in (name, name.rpartition("-")[0]):
            found = self._all.get(candidate)
            if found is None or (found.gone is not None and found.gone <= now):
                continue
            if identifier in (found.name, found.arn, found.arn.rpartition("-")[0]):
                return found
        raise not_found()

    async def purge(self, now: float) -> None:
        """Forget those whose time has come. With the lock."""
        for each in [each for each in self._all.values() if each.gone is not None and each.gone <= now]:
            await self.forget(each)

    async def save(self, secret: Secret) -> None:
        """The values of versions that it has no more go."""
        await self._documents.put(secret.name, secret.document)
        before, self._all[secret.name] = self._all.get(secret.name), secret
        for version in before.versions.keys() - secret.versions.keys() if before is not None else ():
            await self.forget_value(secret, version)

    async def forget(self, secret: Secret) -> None:
        await self._documents.delete(secret.name)
        self._all.pop(secret.name, None)
        for version in secret.versions:
            await self.forget_value(secret, version)

    # ------------------------------------------------------------------------------------------------ values

    async def put_value(self, secret: Secret, version: str, value: bytes) -> None:
        await self._values.put(_key(secret, version), self._seal.seal(value, f"{secret.arn}/{version}"))

    async def value(self, secret: Secret, version: str) -> bytes:
        """Raises ServiceError."""
        record = await self._values.get(_key(secret, version))
        try:
            return self._seal.open(record.value if record is not None else b"", f"{secret.arn}/{version}")
        except CannotOpen as problem:
            raise undecryptable(str(problem)) from problem

    async def same(self, secret: Secret, version: str, value: tuple[bytes, bool]) -> bool:
        """Whether that version has this value."""
        found = await self.value(secret, version)
        return secret.versions[version].binary == value[1] and hmac.compare_digest(found, value[0])

    async def forget_value(self, secret: Secret, version: str) -> None:
        await self._values.delete(_key(secret, version))

    async def accessed(self, secret: Secret, version: str, now: float) -> None:
        """Note the day, once a day."""
        day = now - now % DAY
        if secret.accessed != day or secret.versions[version].accessed != day:
            async with self.lock:
                if version in secret.versions and self._all.get(secret.name) is secret:
                    secret.accessed = secret.versions[version].accessed = day
                    await self._documents.put(secret.name, secret.document)


def _key(secret: Secret, version: str) -> str:
    return f"value/{secret.uid}/{version}"
