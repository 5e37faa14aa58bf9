"""Keys and aliases, in memory and on disk: documents in the clear, material sealed by the place's key.

Material is durable before the document that counts it and goes before that, so what a document counts is there, and of
a key that is deleted nothing is left that could decrypt. Unlike other places' secrets it is in memory, too: who writes
an object under a key does not wait for the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from littoral.kms.errors import exists, invalid_arn, invalid_ciphertext, not_found
from littoral.kms.key import Key
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.store.frames import KEY_BYTES
from littoral.store.sealed import CannotOpen, Seal

log = logging.getLogger("littoral.kms")


class Catalog:
    """Make changes while holding ``lock``."""

    def __init__(self, records: Records, seal: Seal, region: str, account: str, clock: Callable[[], float]) -> None:
        self._keys = Documents(records, "key/")
        self._aliases = Documents(records, "alias/")
        self._records = records
        self._seal = seal
        self._clock = clock
        self.prefix = f"arn:aws:kms:{region}:{account}:"
        self._all: dict[str, Key] = {}
        self._materials: dict[str, list[AESGCM]] = {}
        self.aliases: dict[str, str] = {}  # the key's id, by "alias/name"
        self.lock = asyncio.Lock()

    async def load(self) -> None:
        after = ""
        while page := await self._keys.scan(after=after):
            for _, document in page:
                await self._load(Key.of(document))
            after = page[-1][0]
        after = ""
        while page := await self._aliases.scan(after=after):
            self.aliases |= {f"alias/{name}": document["key"] for name, document in page}
            after = page[-1][0]

    async def _load(self, key: Key) -> None:
        materials = []
        for number in range(len(key.rotated)):
            record = await self._records.get(_material(key.id, number))
            try:
                materials.append(AESGCM(self._seal.open(record.value if record else b"", _material(key.id, number))))
            except CannotOpen as problem:
                log.error("the key %s opens nothing any more: %s", key.arn, problem)  # noqa: TRY400
                break
        self._all[key.id], self._materials[key.id] = key, materials

    @property
    def now(self) -> float:
        return self._clock()

    def all(self) -> list[Key]:
        """By id; without those whose time has come."""
        now = self.now
        return [key for _, key in sorted(self._all.items()) if key.gone is None or key.gone > now]

    def find(self, identifier: str) -> Key:
        """By id, ARN, alias, or alias' ARN. Raises NotFoundException, InvalidArnException."""
        if identifier.startswith("arn:") and identifier.count(":") < 5:
            raise invalid_arn(f"Invalid arn {identifier[:200]}")
        name = identifier.removeprefix(self.prefix).removeprefix("key/")
        if name.startswith("alias/") and name not in self.aliases:
            raise not_found(f"Alias {self.prefix}{name}")
        found = self._all.get(self.aliases.get(name, name))
        if found is None or (found.gone is not None and found.gone <= self.now):
            raise not_found(f"Key '{identifier[:200]}'")
        return found

    def named(self, identifier: str) -> Key:
        """By id or ARN only. Raises as ``find``."""
        if "alias/" in identifier:
            raise not_found(f"Key '{identifier[:200]}'")
        return self.find(identifier)

    def material(self, key: Key, number: int) -> AESGCM:
        """Raises InvalidCiphertextException, also for what another place's keys encrypted."""
        materials = self._materials[key.id]
        if number >= len(materials):
            raise invalid_ciphertext()
        return materials[number]

    # ------------------------------------------------------------------------------------------------ changes

    @asynccontextmanager
    async def changing(
        self, identifier: str, check: Callable[[Key], None] = Key.check_changeable
    ) -> AsyncIterator[Key]:
        """A key by its id or ARN, to be changed; kept at the end of it. Raises as ``named`` and ``check`` do."""
        async with self.lock:
            key = Key.of(self.named(identifier).document)
            check(key)
            yield key
            await self._save(key)

    async def add_material(self, key: Key) -> None:
        """New material, which is used from now on. With the lock."""
        number = len(key.rotated)
        raw = AESGCM.generate_key(KEY_BYTES * 8)
        await self._records.put(_material(key.id, number), self._seal.seal(raw, _material(key.id, number)))
        await self._save(replace(key, rotated=[*key.rotated, self.now]))
        self._materials.setdefault(key.id, []).append(AESGCM(raw))

    async def rotate(self) -> None:
        """Keys whose time for new material has come. With the lock."""
        for key in self.all():
            if key.state == "Enabled" and key.due is not None and key.due <= self.now:
                await self.add_material(key)

    async def _save(self, key: Key) -> None:
        await self._keys.put(key.id, key.document)
        self._all[key.id] = key

    async def purge(self) -> None:
        """Delete what is due: material first. With the lock."""
        now = self.now
        for key in [each for each in self._all.values() if each.gone is not None and each.gone <= now]:
            for number in range(len(key.rotated)):
                await self._records.delete(_material(key.id, number))
            for alias in [name for name, target in self.aliases.items() if target == key.id]:
                await self.drop_alias(alias)
            await self._keys.delete(key.id)
            del self._all[key.id], self._materials[key.id]

    async def put_alias(self, name: str, key: Key, *, new: bool) -> None:
        """Raises AlreadyExistsException, NotFoundException."""
        if new and name in self.aliases:
            raise exists(f"An alias with the name {self.prefix}{name} already exists")
        if not new and name not in self.aliases:
            raise not_found(f"Alias {self.prefix}{name}")
        await self._aliases.put(name.removeprefix("alias/"), {"key": key.id})
        self.aliases[name] = key.id

    async def drop_alias(self, name: str) -> None:
        """Raises NotFoundException."""
        if self.aliases.pop(name, None) is None:
            raise not_found(f"Alias {self.prefix}{name}")
        await self._aliases.delete(name.removeprefix("alias/"))


def _material(key: str, number: int) -> str:
    return f"material/{key}/{number}"
