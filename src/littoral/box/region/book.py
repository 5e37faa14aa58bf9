"""Jobs and addresses, in memory and on disk: documents in the clear, what opens a box sealed with the place's key.

A change is durable before it is seen. Whoever changes a job says which state it may be in.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from littoral.aws.service import ServiceError
from littoral.aws.vault import Vault
from littoral.box.region.errors import key_refused, not_found, wrong_state
from littoral.box.region.job import Job
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents
from littoral.store.sealed import Seal

UNDER_KMS: Final = "kms"


class Book:
    """``load`` it before use."""

    def __init__(self, records: Records, seal: Seal, vault: Vault | None = None) -> None:
        self._jobs = Documents(records, "job/")
        self._addresses = Documents(records, "address/")
        self._secrets = records
        self._seal = seal
        self._vault = vault
        self.jobs: dict[str, Job] = {}
        self.addresses: dict[str, Document] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        after = ""
        while page := await self._jobs.scan(after=after):
            self.jobs.update((name, Job.load(document)) for name, document in page)
            after = page[-1][0]
        after = ""
        while page := await self._addresses.scan(after=after):
            self.addresses.update(page)
            after = page[-1][0]

    def job(self, identifier: str) -> Job:
        """Raises InvalidResourceException."""
        if identifier not in self.jobs:
            raise not_found("JOB", identifier)
        return self.jobs[identifier]

    def address(self, identifier: str) -> Document:
        """Raises InvalidResourceException."""
        if identifier not in self.addresses:
            raise not_found("ADDRESS", identifier)
        return self.addresses[identifier]

    async def add(self, job: Job) -> None:
        await self._jobs.put(job.id, job.dump(), expect=0)
        self.jobs[job.id] = job

    async def add_address(self, address: Document) -> str:
        identifier = f"ADID{uuid.uuid4()}"
        kept = {**address, "AddressId": identifier}
        await self._addresses.put(identifier, kept, expect=0)
        self.addresses[identifier] = kept
        return identifier

    async def change(self, identifier: str, *, within: frozenset[str], **changes: Any) -> Job:
        """Raises InvalidResourceException, InvalidJobStateException where it is in another state than one of
        ``within``."""
        async with self._changing:
            job = self.job(identifier)
            if job.state not in within:
                raise wrong_state(
                    f"The job is {job.state}; this is possible while it is {' or '.join(sorted(within))}."
                )
            changed = replace(job, **changes)
            await self._jobs.put(identifier, changed.dump())
            self.jobs[identifier] = changed
            return changed

    async def keep_secret(self, identifier: str, secret: dict[str, str]) -> None:
        """What opens the job's box; nowhere in the clear on the disk. Kept before the job is told of it. Raises
        KMSRequestFailedException."""
        key, kept = self.job(identifier).kms_key, json.dumps(secret).encode()
        if key:
            vault = self._keys(key)
            with _asking(key):
                blob = vault.wrap(key, kept, {"JobId": identifier})
            kept = json.dumps({UNDER_KMS: base64.b64encode(blob).decode()}).encode()
        await self._secrets.put(f"secret/{identifier}", self._seal.seal(kept, identifier))

    async def secret(self, identifier: str) -> dict[str, str] | None:
        """Raises CannotOpen, KMSRequestFailedException."""
        record = await self._secrets.get(f"secret/{identifier}")
        if record is None:
            return None
        opened: dict[str, str] = json.loads(self._seal.open(record.value, identifier))
        if UNDER_KMS in opened:
            key, blob = self.job(identifier).kms_key, base64.b64decode(opened[UNDER_KMS])
            vault = self._keys(key)
            with _asking(key):
                opened = json.loads(vault.unwrap(blob, {"JobId": identifier}))
        return opened

    def check_key(self, arn: str) -> None:
        """Raises KMSRequestFailedException where it cannot be used now."""
        vault = self._keys(arn)
        with _asking(arn):
            vault.usable(arn)

    def _keys(self, arn: str) -> Vault:
        if self._vault is None:
            raise key_refused(arn, "there is no KMS here")
        return self._vault


@contextmanager
def _asking(arn: str) -> Iterator[None]:
    """What KMS refuses is refused in Snowball's name."""
    try:
        yield
    except ServiceError as refused:
        raise key_refused(arn, refused.message) from refused
