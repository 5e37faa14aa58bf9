"""All sessions by client id, and the durable ones in Records: who they are, what they subscribed to, until when.

A record per durable session, ``session/<client id>``, is written before CONNACK and before each SUBACK and UNSUBACK.
Its messages are in its backlog, not here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from littoral.store.contract import Records, Streams
from littoral.things.access import Access, Admission, Client
from littoral.things.broker.backlog import Backlog
from littoral.things.broker.ledger import PREFIX as LEDGERS
from littoral.things.broker.ledger import Ledger
from littoral.things.broker.limits import MQTT, PROFILES, BrokerLimits
from littoral.things.broker.router import Router
from littoral.things.broker.session import Grant, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)
PREFIX: Final = "session/"
_NOT_KEPT: Final[dict[str, Any]] = {"certificate": None, "password": None, "username": None, "presented": None}


class Sessions:
    def __init__(
        self,
        router: Router,
        streams: Streams | None,
        records: Records | None,
        limits: BrokerLimits,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._streams = streams
        self._records = records
        self._limits = limits
        self._clock = clock
        self._by_id: dict[str, Session] = {}
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def get(self, client_id: str) -> Session | None:
        return self._by_id.get(client_id)

    @asynccontextmanager
    async def turn(self, client_id: str) -> AsyncIterator[None]:
        """One change of a client's session at a time: connects of one id may race."""
        lock, users = self._turns.get(client_id) or (asyncio.Lock(), 0)
        self._turns[client_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._turns[client_id]
            if users == 1:
                del self._turns[client_id]
            else:
                self._turns[client_id] = (lock, users - 1)

    # ---------------------------------------------------------------------------------------- durable

    async def load(self, access_of: Callable[[str], Access]) -> None:
        """Sessions of an earlier run: their clients are away, their messages wait."""
        ledgers = {key.removeprefix(LEDGERS): value async for key, value in self._stored(LEDGERS)}
        async for _, value in self._stored(PREFIX):
            stored = json.loads(value)
            await self._restore(stored, access_of, ledgers.pop(stored["client"]["client_id"], None))
        if self._records is not None:
            for orphan in ledgers:  # of sessions whose end a crash cut short
                await self._records.delete(LEDGERS + orphan)

    async def _stored(self, prefix: str) -> AsyncIterator[tuple[str, bytes]]:
        after = ""
        while self._records is not None:
            page = await self._records.scan(prefix, after=after)
            for record in page:
                yield record.key, record.value
            if not page:
                return
            after = page[-1].key

    async def _restore(self, stored: dict[str, Any], access_of: Callable[[str], Access], ledger: bytes | None) -> None:
        client = _client(stored["client"])
        profile = PROFILES.get(stored["profile"], MQTT)
        session = Session(client, access_of(client.listener), profile, self._limits)
        session.expiry = stored["expiry"]
        expires_at = stored["expires_at"]
        session.expires_at = self._clock() + session.expiry if expires_at is None else expires_at
        await self._make_durable(session, ledger)
        session.recall()
        self._by_id[client.client_id] = session
        for text, grant in stored["grants"].items():
            session.grants[text] = Grant(**grant)
            self._router.place(session, session.grants[text])

    async def _make_durable(self, session: Session, ledger: bytes | None = None, *, fresh: bool = False) -> None:
        if self._streams is None or self._records is None:
            return
        session.ledger = Ledger(self._records, session.client_id)
        if ledger is not None:
            session.ledger.load(ledger)
        backlog = Backlog(self._streams, session.client_id, self._limits, session.ledger)
        await backlog.create(fresh=fresh)
        session.backlog = backlog

    async def save(self, session: Session) -> None:
        """Durable on return, where the session is, and is not over. Raises StoreError."""
        if self._records is None or session.backlog is None or session.ended:
            return
        client = asdict(replace(session.client, **_NOT_KEPT))
        del client["due"]  # nobody's who is away
        document = {
            "client": client,
            "profile": session.profile.name,
            "expiry": session.expiry,
            "expires_at": session.expires_at,
            "grants": {text: asdict(grant) for text, grant in session.grants.items()},
        }
        await self._records.put(PREFIX + session.client_id, json.dumps(document).encode())

    # -------------------------------------------------------------------------------------- lifecycle

    async def open(self, session: Session) -> None:
        """A new session, durable on return where it outlives its connection."""
        if not session.transient:
            await self._make_durable(session, fresh=True)
            await self.save(session)
        self._by_id[session.client_id] = session

    async def end(self, session: Session) -> None:
        """Gone with all it held. Call it within the client's ``turn``."""
        self.detach(session)
        successor = self._by_id.get(session.client_id)  # its record and stream bear the same name
        if session.backlog is not None and self._records is not None and successor is None:
            await self._records.delete(PREFIX + session.client_id)
            await session.backlog.delete()
            await session.ledger.delete()

    def detach(self, session: Session) -> None:
        """Nothing is delivered to it any more."""
        session.ended = True
        self._router.forget(session)
        if self._by_id.get(session.client_id) is session:
            del self._by_id[session.client_id]

    async def close(self) -> None:
        for session in self:
            if session.backlog is not None:
                await session.backlog.stop()


def _client(stored: dict[str, Any]) -> Client:
    """Its admission says what it may receive until it comes back."""
    kept = stored.get("admission")
    return Client(**{**stored, "admission": kept and Admission.from_json(kept)})
