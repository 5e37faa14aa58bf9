"""A device that makes itself a core, by a claim: it keeps its key, and asks the place above for a certificate of it.

    $aws/certificates/create-from-csr/json            signing request → certificate, and a token for it
    $aws/provisioning-templates/TEMPLATE/provision/json   token, parameters → the thing's name

Owns: one connection, from beginning to end. Source: "Device provisioning MQTT API" in the AWS IoT developer guide.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.core.dialing import Upstream
from littoral.core.session import Broken, Session, Timing
from littoral.protocols.mqtt.reasons import Reason

CREATE = "$aws/certificates/create-from-csr/json"
PROVISION = "$aws/provisioning-templates/{}/provision/json"


class NotEnrolled(Exception):
    """The place above did not give what was asked for; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    thing: str
    certificate: str  # PEM


async def enrol(
    claim: Upstream, template: str, parameters: Mapping[str, str], request: str, *, seconds: float = 30.0
) -> Enrolled:
    """``claim`` shows the claim's certificate; ``request`` is a signing request (PEM). Raises NotEnrolled."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                claim.host, claim.port, ssl=claim.tls, server_hostname=claim.server_name
            )
            try:
                return await _Conversation(reader, writer).enrol(template, parameters, request)
            finally:
                writer.close()
    except TimeoutError:
        raise NotEnrolled(f"the place above did not answer within {seconds:g} s") from None
    except OSError as problem:
        raise NotEnrolled(f"{claim.host}:{claim.port} cannot be reached: {problem}") from problem
    except Broken as problem:
        raise NotEnrolled(str(problem)) from problem


class _Conversation:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._session = Session(f"claim-{secrets.token_hex(8)}", timing=Timing(session_expiry=0, dead_after=60.0))
        self._heard: list[tuple[str, bytes]] = []
        self._subscribed = False

    async def enrol(self, template: str, parameters: Mapping[str, str], request: str) -> Enrolled:
        provision = PROVISION.format(template)
        self._session.begin(time.monotonic())
        while not self._session.connected:
            await self._turn()
        self._session.subscribe([f"{topic}/{end}" for topic in (CREATE, provision) for end in ("accepted", "rejected")])
        while not self._subscribed:
            await self._turn()
        made = await self._ask(CREATE, {"certificateSigningRequest": request})
        given = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": dict(parameters)}
        thing = (await self._ask(provision, given)).get("thingName")
        self._session.leave()
        self._writer.write(self._session.outgoing())
        if not isinstance(thing, str) or not thing:
            raise NotEnrolled(f"the template {template} makes no thing")
        return Enrolled(thing, str(made["certificatePem"]))

    async def _ask(self, topic: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self._session.publish(object(), topic, json.dumps(question).encode())
        while not self._heard:
            await self._turn()
        answered, payload = self._heard.pop(0)
        answer: Mapping[str, Any] = json.loads(payload)
        if answered != f"{topic}/accepted":
            raise NotEnrolled(f"{answer.get('errorCode')}: {answer.get('errorMessage')}")
        return answer

    async def _turn(self) -> None:
        """What is to be said, and one read. Raises Broken, NotEnrolled."""
        self._writer.write(self._session.outgoing())
        data = await self._reader.read(65536)
        if not data:
            raise Broken("the place above closed the connection: does its policy allow the claim to provision?")
        happened = self._session.received(data, time.monotonic())
        for message in happened.messages:
            self._heard.append((message.topic, message.payload))
            self._session.done(message)
        for _, reasons in happened.subscribed:
            if any(reason >= Reason.UNSPECIFIED_ERROR for reason in reasons):
                raise NotEnrolled(
                    f"the claim's policy does not let it subscribe to {CREATE}/+, or to what the template answers"
                )
            self._subscribed = True
        for _, reason in happened.acknowledged:
            if reason >= Reason.UNSPECIFIED_ERROR:
                raise NotEnrolled(f"the claim's policy does not let it ask (reason 0x{reason:02x})")
        if happened.broken is not None:
            raise happened.broken
