"""QoS 2 of one connection: PUBLISH and PUBREL in, PUBREC and PUBCOMP in. The ledger holds what it remembers.

A message of a durable session is handed on with a name (its serial) that every backlog stores once, and the name is
durable first. So wherever the broker is killed, the publisher sends again and the message is there once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from littoral.protocols.mqtt.packets import Ack
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import ProtocolViolation
from littoral.store.contract import StoreError
from littoral.things.broker.batch import Batch, NotStored, Owed
from littoral.things.broker.retained import RetainedFull
from littoral.things.broker.session import RELEASED

if TYPE_CHECKING:
    from littoral.things.broker.connection import Connection
    from littoral.things.broker.ledger import Arrival
    from littoral.things.broker.session import Session
    from littoral.things.message import Publication

log = logging.getLogger(__name__)
PUBREC, PUBREL, PUBCOMP = 5, 6, 7


class ExactlyOnce:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._arriving: list[tuple[Publication, Arrival, Owed]] = []
        self._answers: list[Ack] = []  # when what they stand for is durable
        self._released: list[int] = []  # sequences that the backlog may forget then

    @property
    def _session(self) -> Session:
        return cast("Session", self._connection.session)

    # ------------------------------------------------------------------------------- from the publisher

    def again(self, number: int, batch: Batch) -> bool:
        """Whether a PUBLISH with that identifier is one that is here already; then PUBREC says so once more."""
        arrival = self._session.ledger.arrived.get(number)
        if any(each is arrival for _, each, _ in self._arriving):
            return True
        if arrival is None or not (arrival.done or (arrival.passing is not None and not arrival.passing.done())):
            return False
        if not arrival.done and arrival.passing is not None:
            batch.wait(arrival.passing)
        return True

    def publish(self, number: int, publication: Publication, owed: Owed) -> None:
        """Handed on at the end of the read."""
        ledger = self._session.ledger
        arrival = ledger.arrived.get(number) or ledger.arrive(number)
        if self._connection.level == 5 and len(ledger.arrived) > self._connection.profile.receive_maximum:
            raise ProtocolViolation("more than the receive maximum", Reason.RECEIVE_MAXIMUM_EXCEEDED)
        self._arriving.append((publication, arrival, owed))

    def _pass_on(self, batch: Batch) -> None:
        arriving, self._arriving = self._arriving, []
        ledger = self._session.ledger
        before = ledger.passing if ledger.passing is not None and not ledger.passing.done() else None
        task = ledger.passing = asyncio.ensure_future(self._passing(arriving, before))
        for _, arrival, _ in arriving:
            arrival.passing = task
        batch.wait(task)

    async def _passing(
        self, arriving: list[tuple[Publication, Arrival, Owed]], before: asyncio.Task[None] | None
    ) -> None:
        """Raises NotStored: then the publisher, who gets no PUBREC, sends them again, in their order."""
        try:
            await self._session.ledger.save()
        except StoreError as problem:
            raise NotStored(str(problem)) from problem
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                raise NotStored("what came before it was not stored")
        batch = Batch()
        for publication, arrival, owed in arriving:
            try:
                self._hand_on(publication, arrival, batch)
            except RetainedFull as problem:
                log.warning("%s: %s", publication.topic, problem)
                owed.reason = Reason.QUOTA_EXCEEDED
        self._broker.flush()
        await batch.settle()
        for _, arrival, _ in arriving:
            arrival.done = True

    def _hand_on(self, publication: Publication, arrival: Arrival, batch: Batch) -> None:
        if publication.topic.startswith("$"):
            self._broker.reserve(self._session.client, publication, batch)
        else:
            self._broker.distribute(publication, self._session, batch, f"qos2:{arrival.serial:x}")

    def recorded(self, owed: Owed) -> None:
        """PUBREC goes out. One that refuses is the end of it: no PUBREL follows (5.0 s. 4.3.3)."""
        if owed.reason >= 0x80:
            self._session.ledger.arrived.pop(owed.number, None)

    # ------------------------------------------------------------------------------------------- acks

    def take(self, ack: Ack) -> None:
        if ack.kind == PUBREL:
            self._pubrel(ack)
        elif ack.kind == PUBREC:
            self._pubrec(ack)
        else:
            self._pubcomp(ack.packet_id)

    def _pubrel(self, ack: Ack) -> None:
        """Also where the number is not known: the record may still hold it, and PUBCOMP frees it for another."""
        known = self._session.ledger.arrived.pop(ack.packet_id, None) is not None
        self._later(Ack(PUBCOMP, ack.packet_id, Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND))

    def _pubrec(self, ack: Ack) -> None:
        session, number = self._session, ack.packet_id
        if number not in session.inflight:
            self._later(Ack(PUBREL, number, Reason.PACKET_IDENTIFIER_NOT_FOUND))
            return
        held = session.inflight[number]
        if ack.reason >= 0x80:  # the client refused it; nothing more of it is to come (5.0 s. 4.3.3)
            session.acknowledged(number)
            self._go_on()
            return
        if held is not RELEASED:
            session.inflight[number] = RELEASED
            session.ledger.release(number)
            if held is not None and held.sequence:
                self._released.append(held.sequence)
        self._later(Ack(PUBREL, number))

    def _pubcomp(self, number: int) -> None:
        session = self._session
        if session.inflight.get(number) is RELEASED:
            session.acknowledged(number)
            self._go_on()

    def _go_on(self) -> None:
        self._session.refill(self._broker.clock())
        self._broker.dirty.append(self._session)

    def _later(self, answer: Ack) -> None:
        if self._session.ledger.durable:
            self._answers.append(answer)
        else:
            self._connection.send(answer)

    # ----------------------------------------------------------------------------------- end of a read

    def end_of_read(self, batch: Batch) -> None:
        if self._arriving:
            self._pass_on(batch)
        if self._answers:
            answers, self._answers = self._answers, []
            released, self._released = self._released, []
            self._broker.spawn(self._answer(answers, released))

    async def _answer(self, answers: list[Ack], released: list[int]) -> None:
        """The writes of one session end in their order, so its answers do too (s. 4.6)."""
        session = self._session
        try:
            await session.ledger.save()
        except StoreError as problem:
            log.warning("%s: its QoS 2 state was not stored: %s", self._connection.name, problem)
            self._connection.fail(Reason.UNSPECIFIED_ERROR, "not stored")
            return
        if session.backlog is not None:
            for sequence in released:
                session.backlog.done(sequence)
        if not self._connection.closing:
            for answer in answers:
                self._connection.send(answer)
            self._broker.flush()
