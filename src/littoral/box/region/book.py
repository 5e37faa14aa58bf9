"""Jobs and addresses, in memory and on disk: documents in the clear, what opens a box sealed with the place's key.

A change is durable before it is seen. Whoever changes a job says which state it may be in.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

from littoral.box.region.errors import not_found, wrong_state
from littoral.box.region.job import Job
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents
from littoral.store.sealed import Seal


class Book:
    """``load`` it before use."""

    def __init__(self, records: Records, seal: Seal) -> None:
        self._jobs = Documents(records, "job/")
        self._addresses = Documents(records, "address/")
        self._secrets = records
        self._seal = seal
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
        """What opens the job's box; nowhere in the clear on the disk. Kept before the job is told of it."""
        await self._secrets.put(f"secret/{identifier}", self._seal.seal(json.dumps(secret).encode(), identifier))

    async def secret(self, identifier: str) -> dict[str, str] | None:
        """Raises CannotOpen."""
        record = await self._secrets.get(f"secret/{identifier}")
        if record is None:
            return None
        opened: dict[str, str] = json.loads(self._seal.open(record.value, identifier))
        return opened
