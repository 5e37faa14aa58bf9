"""Secrets by name, in memory and on disk: their documents in the clear, their values sealed.

A value is durable before the document that names it and goes after that, so what is named is there, and a crash leaves
at most a value nobody knows. Values are read when they are asked for, and are nowhere else in memory.

A value under a key of KMS is what KMS' Encrypt gives, sealed once more by the place; each record tells by what it was
sealed for which of the two it is, so that one takes the other's place in one write.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

from littoral.aws.service import ServiceError
from littoral.aws.vault import Vault
from littoral.secrets.errors import invalid_parameter, not_found, undecryptable, unencryptable
from littoral.secrets.secret import DAY, Secret
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.store.sealed import CannotOpen, Seal

BY_KMS: Final = " under a key of KMS"
UNENCRYPTABLE: Final = "Secrets Manager can't encrypt the protected secret text using the provided KMS key."
UNDECRYPTABLE: Final = "Secrets Manager can't decrypt the protected secret text using the provided KMS key."


class Catalog:
    """Make changes while holding ``lock``."""

    def __init__(self, records: Records, seal: Seal, vault: Vault | None = None) -> None:
        self._documents = Documents(records, "secret/")
        self._values = records
        self._seal = seal
        self._vault = vault
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

    def check_key(self, kms_key: str) -> str:
        """Its ARN, where it may be used now; the place's own is "". Raises EncryptionFailure,
        InvalidParameterException."""
        if not kms_key:
            return ""
        if self._vault is None:
            raise invalid_parameter("There is no KMS here: what is sealed is sealed by the place's own key.")
        try:
            return self._vault.usable(kms_key)
        except ServiceError as refused:
            raise unencryptable(f"{UNENCRYPTABLE} ({refused.code}: {refused.message})") from refused

    async def put_value(self, secret: Secret, version: str, value: bytes) -> None:
        """Under the key that the secret names. Raises as ``check_key`` does."""
        arn, about = self.check_key(secret.kms_key), f"{secret.arn}/{version}"
        if arn and self._vault is not None:
            value, about = self._vault.wrap(arn, value, _context(secret, version)), f"{about}{BY_KMS}"
        await self._values.put(_key(secret, version), self._seal.seal(value, about))
        secret.versions[version].kms_key = arn

    async def value(self, secret: Secret, version: str) -> bytes:
        """Raises DecryptionFailure."""
        record, about = await self._values.get(_key(secret, version)), f"{secret.arn}/{version}"
        sealed = record.value if record is not None else b""
        try:
            return self._seal.open(sealed, about)
        except CannotOpen:  # it is under a key of KMS
            pass
        try:
            blob = self._seal.open(sealed, f"{about}{BY_KMS}")
        except CannotOpen as problem:
            raise undecryptable(str(problem)) from problem
        if self._vault is None:
            raise undecryptable("There is no KMS here.")
        try:
            return self._vault.unwrap(blob, _context(secret, version))
        except ServiceError as refused:
            raise undecryptable(f"{UNDECRYPTABLE} ({refused.code}: {refused.message})") from refused

    async def reseal(self, secret: Secret) -> None:
        """The values of versions that have a stage, under the key that the secret names. Raises DecryptionFailure, and
        as ``check_key`` does."""
        for version, known in secret.versions.items():
            if known.stages:
                await self.put_value(secret, version, await self.value(secret, version))

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


def _context(secret: Secret, version: str) -> dict[str, str]:
    """As Secrets Manager's own ("Secret encryption and decryption" of its user guide)."""
    return {"SecretARN": secret.arn, "SecretVersionId": version}


def _key(secret: Secret, version: str) -> str:
    return f"value/{secret.uid}/{version}"
