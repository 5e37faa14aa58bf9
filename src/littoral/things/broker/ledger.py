"""What QoS 2 must remember of one session, each way, so that a message is handed on exactly once.

::

    client ── PUBLISH ──▶ arrived[number]     kept until PUBREL: the same number again is the same message
    client ◀── PUBLISH ── sent[number]        which message of the backlog has that number, before it is first sent
           ── PUBREC ───▶ released[number]    it has arrived, only the number is still to be freed
           ── PUBCOMP ──▶ free again          once the backlog has forgotten the message

A durable session's is one record, ``qos2/<client id>``, small and written whole. Nothing is answered before ``save``
returns: PUBREC, PUBREL and PUBCOMP each say that the other side may forget something.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct
from dataclasses import dataclass
from typing import Final

from littoral.store.contract import Records

PREFIX: Final = "qos2/"
_COUNTS: Final = struct.Struct(">HHH")
_PAIR: Final = struct.Struct(">HQ")
_serials: Final = itertools.count(secrets.randbits(62))  # never the same twice, over restarts too


@dataclass(slots=True)
class Arrival:
    """A message that a client published with QoS 2. ``serial`` names it to the backlogs, which store it once."""

    serial: int
    passing: asyncio.Task[None] | None = None  # on its way to the subscribers
    done: bool = False  # as durable as PUBREC says; what a restart finds in the record may not be


class Ledger:
    def __init__(self, records: Records | None, client_id: str) -> None:
        self._records = records
        self._key = PREFIX + client_id
        self.arrived: dict[int, Arrival] = {}
        self.sent: dict[int, int] = {}  # packet identifier: sequence in the backlog
        self.released: dict[int, int] = {}
        self._completed: list[int] = []
        self._stored = False
        self.passing: asyncio.Task[None] | None = None  # the last arrivals on their way; the next go behind them

    @property
    def durable(self) -> bool:
        return self._records is not None

    def __bool__(self) -> bool:
        return bool(self.arrived or self.sent or self.released)

    def arrive(self, number: int) -> Arrival:
        made = self.arrived[number] = Arrival(next(_serials))
        return made

    def release(self, number: int) -> None:
        self.released[number] = self.sent.pop(number, 0)

    def complete(self, number: int) -> None:
        """The number is free when the backlog has durably forgotten its message: a crash would send it again."""
        if self.sent.get(number) or self.released.get(number):
            self._completed.append(number)
        else:
            self.forget([number])

    def taken(self, number: int) -> bool:
        return number in self.sent or number in self.released

    def take_completed(self) -> list[int]:
        taken, self._completed = self._completed, []
        return taken

    def give_back(self, completed: list[int]) -> None:
        self._completed = completed + self._completed

    def forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self.sent.pop(number, None)
            self.released.pop(number, None)

    # ------------------------------------------------------------------------------------- on disk

    async def save(self) -> None:
        """Durable on return, where the session is. Raises StoreError."""
        if self._records is not None:
            self._stored = True
            await self._records.put(self._key, self._encoded())

    async def delete(self) -> None:
        """Its session is over; what still runs for it saves no more, for the next session's record has that key."""
        records, self._records = self._records, None
        if records is not None and self._stored:
            await records.delete(self._key)

    def _encoded(self) -> bytes:
        serials = {number: arrival.serial for number, arrival in self.arrived.items()}
        tables = (serials, self.sent, self.released)
        head = _COUNTS.pack(*map(len, tables))
        return head + b"".join(_PAIR.pack(*pair) for table in tables for pair in table.items())

    def load(self, value: bytes) -> None:
        self._stored = True
        arrived, sent, released = _COUNTS.unpack_from(value)
        pairs = list(_PAIR.iter_unpack(value[_COUNTS.size :]))
        self.arrived = {number: Arrival(serial) for number, serial in pairs[:arrived]}
        self.sent = dict(pairs[arrived : arrived + sent])
        self.released = dict(pairs[arrived + sent : arrived + sent + released])
