"""What is published to ``$aws/…``: shadows, jobs and Basic Ingest, handled in this process.

==================================================  ====================================================
``$aws/things/{thing}/shadow/…/{get,update,delete}``  the shadow service, which answers on topics beside it
``$aws/things/{thing}/jobs/…``                       jobs, which answer to who asked
``$aws/certificates/…``, ``$aws/provisioning-templates/…``  provisioning, likewise
``$aws/things/{thing}/greengrass/health/json``       a core's telemetry, an event for whoever wants it
``$aws/things/{thing}/greengrassv2/health/json``     how a core and its components fare, for Greengrass
``$aws/rules/{rule}/{topic}``                        Basic Ingest: that rule alone, no subscriber
==================================================  ====================================================

Anything else is refused: the sender's acknowledgement is kept back and the reason logged.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial

from littoral.things.access import Client
from littoral.things.intake import Intake
from littoral.things.jobs import JobRequests
from littoral.things.message import Publication
from littoral.things.names import THING_NAME
from littoral.things.provisioning import Asked, ProvisioningRequests
from littoral.things.shadows import Shadows, parse_topic

log = logging.getLogger(__name__)

_DEFENDER = re.compile(rf"\$aws/things/{THING_NAME.pattern}/defender/metrics/json")
BASIC_INGEST = "$aws/rules/"
_HEALTH = re.compile(rf"\$aws/things/(?P<thing>{THING_NAME.pattern})/greengrass(?P<v2>v2)?/health/json")
Telemetry = Callable[[str, bytes], Awaitable[None]]
"""Takes what a core (a thing) says of its health; durable when it returns. Raises ValueError for what is none."""
Reply = Callable[[str, str, bytes], Awaitable[None]]


class UnknownReservedTopic(ValueError):
    """Nobody here serves this topic."""


class Reserved:
    """``reply`` (client id, topic, payload) answers the client that asked; "" is everybody."""

    def __init__(
        self,
        shadows: Shadows,
        intake: Intake,
        jobs: JobRequests,
        provisioning: ProvisioningRequests,
        reply: Reply,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._shadows = shadows
        self._intake = intake
        self._jobs = jobs
        self._provisioning = provisioning
        self._reply = reply
        self._telemetry = telemetry
        self.fleet_status: Telemetry | None = None  # takes what cores tell of their components

    def of_client(self, client: Client, publication: Publication) -> Awaitable[None] | None:
        """The broker's hook: what is returned is awaited before PUBACK."""
        return self.take(publication)

    def take(self, publication: Publication) -> Awaitable[None] | None:
        """Raises UnknownReservedTopic, now or when awaited."""
        if publication.topic.startswith(BASIC_INGEST):
            rule, _, topic = publication.topic[len(BASIC_INGEST) :].partition("/")
            return self._intake.directly(rule, topic, publication)
        request = parse_topic(publication.topic)
        if request is not None:
            return self._shadows.answer(request, publication.payload)
        reply = partial(self._reply, publication.client_id)
        asked = self._jobs.take(publication.topic, publication.payload, reply)
        if asked is None and publication.client_id:  # a key is not made for a rule or over HTTPS: nobody would get it
            who = Asked(publication.client_id, publication.principal)
            asked = self._provisioning.take(publication.topic, publication.payload, who, reply)
        if asked is None and _DEFENDER.fullmatch(publication.topic):
            return reply(f"{publication.topic}/rejected", _no_defender(publication))
        if asked is None and (health := _HEALTH.fullmatch(publication.topic)):
            taker = self.fleet_status if health["v2"] else self._telemetry
            return taker(health["thing"], publication.payload) if taker is not None else _refuse(publication.topic)
        return _refuse(publication.topic) if asked is None else asked


def _no_defender(publication: Publication) -> bytes:
    """Metrics are taken by nobody, and the device is told so in Defender's own words."""
    thing = publication.topic.split("/")[2]
    message = "This place has no Device Defender: the report is not kept"
    answer = {
        "thingName": thing,
        "status": "REJECTED",
        "statusDetails": {"ErrorCode": "NotImplemented", "ErrorMessage": message},
        "timestamp": int(publication.received_at * 1000),
    }
    return json.dumps(answer).encode()


async def _refuse(topic: str) -> None:
    raise UnknownReservedTopic(f"{topic} is a reserved topic that nothing here serves")


def dispatcher(
    reserved: Reserved, publish: Callable[[Publication], Awaitable[None]]
) -> Callable[[Publication], Awaitable[None]]:
    """Where a publication from a rule or over HTTPS goes: as a client's would. Raises ValueError for a bad topic."""

    async def dispatch(publication: Publication) -> None:
        if not publication.topic.startswith("$"):
            await publish(publication)
            return
        waiting = reserved.take(publication)
        if waiting is not None:
            await waiting

    return dispatch
