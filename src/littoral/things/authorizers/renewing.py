"""What a connection that a function let in must go through while it lasts: the function is asked again, and in the end
the connection is over.

The broker's sweep finds who is due (``Client.due``). Whatever goes wrong when the function is asked again ends the
connection, as AWS has it; unless the place itself is busy: then it is asked a little later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import StoreError
from littoral.things.access import Access, Admission, Client
from littoral.things.authorizers.authorizers import BUSY, Authorizers, Decision, NotAdmitted
from littoral.things.broker import Broker

log = logging.getLogger(__name__)

SOON: Final = 1.0  # seconds
NOT_LET_IN: Final = "no authorizer lets this client in"


class Renewing:
    def __init__(
        self, authorizers: Authorizers, broker: Broker, access: Access, refused: Callable[[Client, NotAdmitted], None]
    ) -> None:
        self._authorizers = authorizers
        self._broker = broker
        self._access = access
        self._refused = refused  # told of a client that is cut off, and why

    def due(self, client: Client) -> None:
        """By the broker, once a second at most for each client."""
        admission = client.admission
        assert admission is not None
        now = self._broker.clock()
        if now >= admission.ends:
            self._end(client, Reason.MAXIMUM_CONNECT_TIME, "the time that its authorizer gave it is over")
        elif self._authorizers.room <= 0:
            client.due = now + SOON
        else:
            client.due = admission.ends  # until the answer is here
            self._broker.spawn(self._renew(client, admission))

    async def _renew(self, client: Client, before: Admission) -> None:
        assert client.presented is not None
        try:
            decision = await self._authorizers.decide(client.presented)
        except NotAdmitted as problem:
            if problem.why == BUSY:
                client.due = self._broker.clock() + SOON
            else:
                self._refused(client, problem)
                self._end(client, Reason.NOT_AUTHORIZED, NOT_LET_IN)
            return
        after = admission(decision, before.since, self._broker.clock())
        if after.principal != before.principal:  # its session and its messages are the other's
            self._end(client, Reason.NOT_AUTHORIZED, "its authorizer calls it by another name now")
            return
        client.admission, client.due = after, after.due
        if after.policies != before.policies:
            await self._changed(client)

    async def _changed(self, client: Client) -> None:
        self._broker.refresh()
        if self._access.connect(client) is not None:
            self._end(client, Reason.NOT_AUTHORIZED, "its new policies do not allow it to be connected")
            return
        async with self._broker.sessions.turn(client.client_id):
            session = self._broker.sessions.get(client.client_id)
            if session is not None and session.client is client:
                try:
                    await self._broker.sessions.save(session)
                except StoreError as problem:  # its record holds the policies before until its client connects again
                    log.warning("new policies of %r are not stored: %s", client.client_id, problem)

    def _end(self, client: Client, reason: Reason, message: str) -> None:
        session = self._broker.sessions.get(client.client_id)
        if session is not None and session.client is client and session.connection is not None:
            session.connection.fail(reason, message)


def admission(decision: Decision, since: float, now: float) -> Admission:
    """``since``: when the connection was let in first."""
    answer = decision.answer
    return Admission(
        decision.authorizer.name,
        answer.principal,
        answer.policies,
        since,
        since + answer.disconnect_after,
        now + answer.refresh_after,
    )
