"""The answers to the broker's questions, from the policies of the client's certificate, or those that an authorizer's
function gave it."""

from __future__ import annotations

from collections.abc import Callable

from littoral.protocols.mqtt.reasons import Reason
from littoral.things.access import Client, Refusal, UserProperties
from littoral.things.authorizers.authorizers import BUSY, Authorizers, NotAdmitted
from littoral.things.authorizers.renewing import NOT_LET_IN, admission
from littoral.things.permissions import Caller, Permissions
from littoral.things.refusals import Refusals

Judge = Callable[[str, str, str, str], bool]
"""(certificate, client id, operation, resource): ``mqtt:publish`` on ``mqtt:topic:…``, and the like."""


class Gatekeeper:
    """An ``Access``: neither certificate nor authorizer, no entry. AWS reserves what begins with ``$aws/rules/`` for
    publishing.

    ``on_stranger`` is told of who comes with a certificate that is not registered, or not active.
    """

    def __init__(
        self, permissions: Permissions, refusals: Refusals, authorizers: Authorizers, clock: Callable[[], float]
    ) -> None:
        self._permissions = permissions
        self._refusals = refusals
        self._authorizers = authorizers
        self._clock = clock
        self.judge: Judge | None = None  # decides instead of IoT policies, for clients with a certificate
        self.on_stranger: Callable[[Client], None] = lambda who: None

    async def identify(self, who: Client) -> Refusal | None:
        if who.principal or who.presented is None:
            return None
        try:
            decision = await self._authorizers.decide(who.presented)
        except NotAdmitted as problem:
            self.refused(who, problem)
            if problem.why == BUSY:
                return Refusal(Reason.SERVER_BUSY, "too many authorizers are being asked")
            return Refusal(Reason.NOT_AUTHORIZED, NOT_LET_IN)
        now = self._clock()
        who.admission = found = admission(decision, now, now)
        who.principal, who.due = found.principal, found.due
        return None

    def refused(self, who: Client, problem: NotAdmitted) -> None:
        """By its authorizer. The client is not told why: that may speak of the function."""
        self._refusals.note(caller_of(who), "iot:Connect", "client", who.client_id, problem.why, str(problem))

    def connect(self, who: Client) -> Refusal | None:
        refusal = self._may_connect(who)
        if refusal is not None:
            self._refusals.note(caller_of(who), "iot:Connect", "client", who.client_id)
        return refusal

    def _may_connect(self, who: Client) -> Refusal | None:
        if not who.principal:
            return Refusal(Reason.NOT_AUTHORIZED, "a client certificate is needed")
        if who.admission is None and not self._permissions.active(who.principal):
            self.on_stranger(who)
            return Refusal(Reason.NOT_AUTHORIZED, "the certificate is not registered here, or is not active")
        if self._judged(who):
            may = self._judge(who, "mqtt:connect", f"mqtt:clientId:{who.client_id}")
            return None if may else Refusal(Reason.NOT_AUTHORIZED, "no device group allows mqtt:connect")
        if not self._permissions.allows_connect(caller_of(who), connect_attributes(who)):
            return Refusal(Reason.NOT_AUTHORIZED, "no policy allows iot:Connect with this client id")
        return None

    def publish(self, who: Client, topic: str, retain: bool) -> bool:
        if self._judged(who):
            return self._judge(who, "mqtt:publish", f"mqtt:topic:{topic}")
        return self._may(who, "iot:Publish", "topic", topic) and (
            not retain or self._may(who, "iot:RetainPublish", "topic", topic)
        )

    def subscribe(self, who: Client, filter: str) -> bool:
        if filter.startswith("$aws/rules/"):
            return False
        if self._judged(who):
            return self._judge(who, "mqtt:subscribe", f"mqtt:topicfilter:{filter}")
        return self._may(who, "iot:Subscribe", "topicfilter", filter)

    def receive(self, who: Client, topic: str) -> bool:
        return self._judged(who) or self._may(who, "iot:Receive", "topic", topic)

    def additions(self, who: Client) -> UserProperties:
        return self._permissions.propagated(who.principal, who.client_id) if who.admission is None else ()

    def _judged(self, who: Client) -> bool:
        return self.judge is not None and who.admission is None

    def _judge(self, who: Client, operation: str, resource: str) -> bool:
        return self.judge is not None and self.judge(who.principal, who.client_id, operation, resource)

    def _may(self, who: Client, action: str, kind: str, name: str) -> bool:
        caller = caller_of(who)
        allowed = self._permissions.allows(caller, action, kind, name)
        if not allowed:
            self._refusals.note(caller, action, kind, name)
        return allowed


def connect_attributes(who: Client) -> tuple[str, ...]:
    """What AWS calls ConnectAttributes: the features that a client's CONNECT asks for."""
    persistent = () if who.clean else ("PersistentConnect",)
    return (*persistent, "LastWill") if who.will_topic is not None else persistent


def caller_of(who: Client) -> Caller:
    return Caller("" if who.admission is not None else who.principal, who.client_id, who.host, who.admission)
