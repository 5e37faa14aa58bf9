"""The state of the control plane: distributions, policies, invalidations, and who has acknowledged what.

Everything an edge location must know is one *revision*: it grows with every change that concerns locations, and a
distribution is deployed, an invalidation completed, when every known location has acknowledged its revision.
Durable in Records; held in memory for reading, for it is small and read by every poll.
"""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from littoral.store.contract import Records
from littoral.store.documents import Document, Documents

SHIELD_KINDS = ("shield-attack", "shield-protection", "shield-subscription")
WAF_KINDS = tuple(f"waf-{noun}" for noun in "webacl rulegroup ipset regexpatternset logging tags policy secret".split())
LOCATION_LOST = 60.0  # seconds without a word after which a location no longer holds up "Deployed"


def new_id(prefix: str = "E") -> str:
    """``E`` and thirteen capitals or digits, as CloudFront's ids are."""
    return prefix + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(13))


@dataclass(slots=True)
class Location:
    """One edge location, as the control plane knows it."""

    name: str
    revision: int = 0
    seen: float = 0.0
    stopped: bool = False
    functions: tuple[str, ...] = ()  # ARNs of the versions that it holds for triggers
    address: str = ""  # at which other locations reach it, as it said last
    region: str = ""  # of the place that it is part of


@dataclass(slots=True)
class Kind:
    """One kind of document: in memory, and durable under its prefix."""

    documents: Documents
    all: dict[str, Document] = field(default_factory=dict)


class Control:
    """Open with ``Control.open``."""

    def __init__(self, records: Records, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.changing = asyncio.Lock()  # held from reading to writing of one change
        self._changed = asyncio.Condition()
        self.revision = 0
        self.secret = ""  # by which locations know each other
        self._meta = Documents(records, "meta/")
        self._kinds = {
            kind: Kind(Documents(records, kind + "/"))
            for kind in (
                "distribution",
                "cache-policy",
                "continuous-deployment-policy",
                "origin-request-policy",
                "response-headers-policy",
                "access-identity",
                "monitoring",
                "access-control",
                "invalidation",
                "function",
                "key-group",
                "key-value-store",
                "public-key",
                "realtime-log-config",
                "trust-store",
                "tags",
                *SHIELD_KINDS,
                *WAF_KINDS,
            )
        }
        self._locations_stored = Documents(records, "location/")
        self.locations: dict[str, Location] = {}
        self._closing = False

    @classmethod
    async def open(cls, records: Records, *, clock: Callable[[], float] = time.time) -> Control:
        control = cls(records, clock)
        meta = await control._meta.get("revision")
        control.revision = meta["revision"] if meta else 0
        secret = await control._meta.get("secret")
        if secret is None:
            secret = {"secret": secrets.token_hex(32)}
            await control._meta.put("secret", secret)
        control.secret = secret["secret"]
        for kind in control._kinds.values():
            after = ""
            while page := await kind.documents.scan(after=after):
                kind.all.update(page)
                after = page[-1][0]
        for name, document in await control._locations_stored.scan():
            functions = tuple(document.get("functions", ()))
            control.locations[name] = Location(name, document["revision"], document["seen"], functions=functions)
        return control

    def all(self, kind: str) -> dict[str, Document]:
        return self._kinds[kind].all

    def get(self, kind: str, key: str) -> Document | None:
        return self._kinds[kind].all.get(key)

    async def put(self, kind: str, key: str, document: Document, *, deploy: bool = True) -> None:
        """Durable; with ``deploy`` a new revision that locations will fetch, noted in the document."""
        if deploy:
            document["revision"] = await self._next_revision()
        await self._kinds[kind].documents.put(key, document)
        self._kinds[kind].all[key] = document
        if deploy:
            await self._publish(document["revision"])

    async def delete(self, kind: str, key: str, *, deploy: bool = True) -> None:
        """As ``put``."""
        revision = await self._next_revision() if deploy else 0
        await self._kinds[kind].documents.delete(key)
        self._kinds[kind].all.pop(key, None)
        if deploy:
            await self._publish(revision)

    async def carried(self, change: Callable[[], Awaitable[None]]) -> None:
        """Locations fetch something more that is none of these documents: ``change`` makes it durable. The revision is
        reserved before, so that they hear of it also where the place ends between the two."""
        revision = await self._next_revision()
        await change()
        await self._publish(revision)

    async def _next_revision(self) -> int:
        """Reserved durably; nobody sees it before ``_publish``, when what it stands for is there."""
        await self._meta.put("revision", {"revision": self.revision + 1})
        return self.revision + 1

    async def _publish(self, revision: int) -> None:
        self.revision = revision
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_for_change(self, after: int, timeout: float) -> None:
        """Return when the revision is past ``after``, or when the time is up."""
        async with self._changed:
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait_for(lambda: self.revision > after or self._closing)
            except TimeoutError:
                return

    async def close(self) -> None:
        """Let go of everybody who waits for a change."""
        self._closing = True
        await self._tell()

    # ----------------------------------------------------------------------------------------- locations

    async def acknowledge(
        self, name: str, revision: int, functions: Sequence[str] = (), address: str = "", region: str = ""
    ) -> None:
        """A location serves that revision. Durable before it is told, so that Deployed stays Deployed."""
        location = self.locations.setdefault(name, Location(name))
        news = (location.revision, location.functions) != (revision, tuple(functions))
        location.address, location.region = address, region
        location.revision, location.functions = revision, tuple(functions)
        location.seen, location.stopped = self._clock(), False
        if news:
            document = {"revision": revision, "seen": location.seen, "functions": list(functions)}
            await self._locations_stored.put(name, document)

    def seen(self, name: str) -> None:
        location = self.locations.setdefault(name, Location(name))
        location.seen = self._clock()

    def alive(self) -> list[Location]:
        """The locations that spoke within the last minute."""
        return [each for each in self.locations.values() if self._clock() - each.seen < LOCATION_LOST]

    def deployed(self, revision: int) -> bool:
        """Whether every location that is alive has that revision. With none alive nothing is deployed anywhere."""
        alive = self.alive()
        return bool(alive) and all(each.revision >= revision for each in alive)
