"""What happens to a job's box, step by step: prepared, filled, read. Each may be repeated by who was not answered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.box import manifest
from littoral.box.issuing import drafted
from littoral.box.manifest import KeyRange
from littoral.box.region.book import Book
from littoral.box.region.errors import wrong_combination, wrong_state
from littoral.box.region.job import KEEPS_CODE, Job, Moved
from littoral.box.region.states import (
    CANCELLED,
    COMPLETE,
    IN_PROGRESS,
    NEW,
    ON_ITS_WAY,
    PREPARING,
    RETURNING,
    WITH_CUSTOMER,
)
from littoral.net.pki import Authority

READ_FROM: Final = frozenset((WITH_CUSTOMER, RETURNING, IN_PROGRESS))
FILLED_FROM: Final = frozenset((PREPARING, IN_PROGRESS))


@dataclass(frozen=True, slots=True)
class Access:
    """How the box of a job is talked to, and what of it."""

    kind: str
    ranges: tuple[KeyRange, ...]
    access_key: str
    secret_key: str
    authority: str  # PEM: signs the box's servers


class Steps:
    """``authority`` is the region's, which signs manifests."""

    def __init__(self, book: Book, authority: Authority, region: str, account: str) -> None:
        self._book = book
        self._authority = authority
        self._region = region
        self._account = account
        self._making = asyncio.Lock()

    def job(self, identifier: str) -> Job:
        """Raises InvalidResourceException."""
        return self._book.job(identifier)

    async def prepare(self, identifier: str, now: float) -> tuple[bytes, str]:
        """The manifest and the unlock code that the job's box is prepared with, and opened with when it is back: the
        region hands them to its own operator for as long as it has them. Raises InvalidJobStateException."""
        async with self._making:  # of two who ask at once both get the one that is kept
            secret = await self._book.secret(identifier)
            job = self._book.job(identifier)
            if job.state not in (NEW, PREPARING) and (secret is None or job.state == CANCELLED):
                raise wrong_state(f"A box is prepared for a job that is {NEW}; this one is {job.state}.")
            if secret is None:
                secret = self._made(job, now)
                await self._book.keep_secret(identifier, secret)
            if job.state == NEW:
                await self._book.change(identifier, within=frozenset((NEW, PREPARING)), state=PREPARING)
        return base64.b64decode(secret["manifest"]), secret["code"]

    def _made(self, job: Job, now: float) -> dict[str, str]:
        content = drafted(job.id, job.kind, job.ranges, self._region, self._account, now, job.created + KEEPS_CODE)
        code = manifest.new_code()
        issuer = self._authority.certificate_pem.decode()
        sealed = manifest.seal(content, code, issuer, self._authority.sign)
        return {
            "code": code,
            "manifest": base64.b64encode(sealed).decode(),
            "access_key": content.access_key,
            "secret_key": content.secret_key,
            "authority": content.authority_certificate,
        }

    async def ready(self, identifier: str) -> Job:
        """The box is whole and locked: it may be carried away."""
        job = self._book.job(identifier)
        if job.kind == "EXPORT" and job.state == PREPARING:
            raise wrong_state("The box of an export is filled before it leaves: littoral box export.")
        within = frozenset((PREPARING, ON_ITS_WAY))
        return await self._book.change(identifier, within=within, state=ON_ITS_WAY)

    async def begin(self, identifier: str) -> Access:
        """An import is read, an export filled. Raises InvalidJobStateException, InvalidInputCombinationException,
        KMSRequestFailedException."""
        job = self._book.job(identifier)
        if job.kind == "LOCAL_USE":
            raise wrong_combination("A job of type LOCAL_USE moves no objects between box and region.")
        within = READ_FROM if job.kind == "IMPORT" else FILLED_FROM
        secret = await self._book.secret(identifier)
        await self._book.change(identifier, within=within, state=IN_PROGRESS)
        if secret is None:
            raise wrong_state("This job's box has never been prepared.")
        return Access(job.kind, job.ranges, secret["access_key"], secret["secret_key"], secret["authority"])

    async def carry(self, identifier: str, url: str) -> None:
        """The region itself carries it out, with the box at ``url``; "": it does not any more."""
        await self._book.change(identifier, within=frozenset((IN_PROGRESS,)), carried=url)

    def carried(self) -> list[str]:
        """Jobs whose transfers the region carries out."""
        return [job.id for job in self._book.jobs.values() if job.carried and job.state == IN_PROGRESS]

    async def moved(self, identifier: str, moved: Moved) -> None:
        await self._book.change(identifier, within=frozenset((IN_PROGRESS,)), moved=moved)

    async def end(self, identifier: str, moved: Moved, logs: Mapping[str, str]) -> Job:
        """Every object has arrived, and ``logs`` say so (report, success, failure → BUCKET/KEY)."""
        job = self._book.job(identifier)
        after = COMPLETE if job.kind == "IMPORT" else ON_ITS_WAY
        if job.state == after and dict(job.logs) == dict(logs):
            return job
        known: dict[str, Any] = {"moved": moved, "logs": dict(logs), "carried": ""}
        return await self._book.change(identifier, within=frozenset((IN_PROGRESS,)), state=after, **known)
