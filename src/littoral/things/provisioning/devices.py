"""Fleet provisioning over MQTT; the answer goes to who asked, on the same topic with ``/accepted`` or ``/rejected``.

====================================================  ============================================================
``$aws/certificates/create/FORMAT``                   a key pair and its certificate
``$aws/certificates/create-from-csr/FORMAT``          a certificate for a signing request
``$aws/provisioning-templates/T/provision/FORMAT``    the template T, with the token from one of those
====================================================  ============================================================

FORMAT is ``json`` or ``cbor``. Source: https://docs.aws.amazon.com/iot/latest/developerguide/fleet-provision-api.html
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import cbor2

from littoral.store.contract import StoreError
from littoral.things.provisioning.carrying import NotProvisioned
from littoral.things.provisioning.service import Asked, Provisioning

log = logging.getLogger(__name__)

Json = dict[str, Any]
Reply = Callable[[str, bytes], Awaitable[None]]

_CREATE: Final = re.compile(r"\$aws/certificates/(?P<what>create|create-from-csr)/(?P<format>json|cbor)")
_PROVISION: Final = re.compile(
    r"\$aws/provisioning-templates/(?P<template>[0-9A-Za-z_-]{1,36})/provision/(?P<format>json|cbor)"
)


class ProvisioningRequests:
    """``take`` gives what is to be awaited before PUBACK, or None where the topic is not one of provisioning."""

    def __init__(self, provisioning: Provisioning) -> None:
        self._provisioning = provisioning

    def take(self, topic: str, payload: bytes, who: Asked, reply: Reply) -> Awaitable[None] | None:
        match = _CREATE.fullmatch(topic) or _PROVISION.fullmatch(topic)
        return None if match is None else self._answer(topic, match.groupdict(), payload, who, reply)

    async def _answer(self, topic: str, words: Mapping[str, str], payload: bytes, who: Asked, reply: Reply) -> None:
        try:
            outcome, answer = "accepted", await self._do(words, payload, who)
        except NotProvisioned as problem:
            log.warning("%s of %s (%s) refused: %s", topic, who.client_id, who.certificate, problem)
            answer = {"statusCode": problem.status, "errorCode": problem.code, "errorMessage": problem.message}
            outcome = "rejected"
        except StoreError:
            log.exception("%s of %s failed", topic, who.client_id)
            answer = {"statusCode": 500, "errorCode": "InternalFailure", "errorMessage": "The storage failed"}
            outcome = "rejected"
        await reply(f"{topic}/{outcome}", _written(answer, words["format"]))

    async def _do(self, words: Mapping[str, str], payload: bytes, who: Asked) -> Json:
        if words.get("what") == "create":
            return await self._provisioning.create_keys()
        given = _read(payload, words["format"])
        if "what" in words:
            return await self._provisioning.create_from_request(_text(given, "certificateSigningRequest"))
        parameters = given.get("parameters") or {}
        if not isinstance(parameters, dict) or not all(
            isinstance(name, str) and isinstance(value, str) for name, value in parameters.items()
        ):
            raise NotProvisioned("InvalidPayload", "parameters is an object of texts")
        token = _text(given, "certificateOwnershipToken")
        return await self._provisioning.register(words["template"], token, parameters, who)


def _read(payload: bytes, form: str) -> Json:
    try:
        found = json.loads(payload.decode()) if form == "json" else _read_cbor(payload)
    except (ValueError, RecursionError, cbor2.CBORError):
        raise NotProvisioned("InvalidPayload", f"The payload is not {form.upper()}") from None
    if not isinstance(found, dict):
        raise NotProvisioned("InvalidPayload", "The payload is not an object")
    return found


def _read_cbor(payload: bytes) -> object:
    """One value and nothing behind it."""
    stream = io.BytesIO(payload)
    found: object = cbor2.CBORDecoder(stream).decode()
    if stream.read(1):
        raise ValueError("more than one value")
    return found


def _written(answer: Json, form: str) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() if form == "json" else cbor2.dumps(answer)


def _text(given: Json, name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise NotProvisioned("InvalidPayload", f"{name} is needed")
    return value
