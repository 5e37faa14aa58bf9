"""aws.greengrass.clientdevices.Auth: judges client devices by device groups, at the broker and for components over IPC.

Without it in a deployment devices are judged by their IoT policies, as before. How long they are let in after the
registry above was last heard of says ``security.clientDeviceTrustDurationMinutes``; AWS's default of 1 minute would
turn every outage into one of the ward, so ours, where nothing is said, is for as long as it lasts.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography import x509

from littoral.core.clientdevices.groups import NAME, Device, Groups, groups_of
from littoral.core.clientdevices.ports import ClientPlace
from littoral.core.clientdevices.telling import Telling
from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid
from littoral.core.ipc.ports import Components
from littoral.core.link import Link
from littoral.core.recipe import BadComponent
from littoral.net.pki import certificate_id

log = logging.getLogger(__name__)

MOST_TOKENS: Final = 2500  # sessions of devices at brokers of components, as AWS's maxActiveAuthTokens
_KNOWN: Final = frozenset(("deviceGroups", "security", "performance", "metrics", "certificates"))


def check(configuration: Mapping[str, Any]) -> tuple[Groups, float | None]:
    """The groups, and the seconds that a device is trusted without a link; None: always. Raises BadComponent."""
    if unknown := set(configuration) - _KNOWN:
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} is not served by Littoral's cores")
    for name in ("performance", "metrics", "certificates"):
        if configuration.get(name):
            raise BadComponent(f"{NAME}: {name} has no effect on Littoral's cores; leave it out")
    security = configuration.get("security", {})
    if not isinstance(security, Mapping) or set(security) - {"clientDeviceTrustDurationMinutes"}:
        raise BadComponent(f"{NAME}: security may have clientDeviceTrustDurationMinutes")
    minutes = security.get("clientDeviceTrustDurationMinutes")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0):
        raise BadComponent(f"{NAME}: clientDeviceTrustDurationMinutes must be a number of minutes")
    return groups_of(configuration.get("deviceGroups")), None if minutes is None else minutes * 60.0


class ClientDeviceAuth:
    """``verified`` is to be called whenever the registry above was heard of."""

    def __init__(
        self, place: ClientPlace, components: Components, telling: Telling, link: Link, clock: Callable[[], float]
    ) -> None:
        self._place = place
        self._telling = telling
        self._link = link
        self._components = components
        self._clock = clock
        self._groups: Groups | None = None
        self._trusted_for: float | None = None
        self._verified = clock()
        self._tokens: dict[str, tuple[str, str]] = {}  # -> certificate, thing
        link.on_connected(self._tell)

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        if configuration is None:
            if self._groups is not None:
                self._groups = None
                self._place.judge_by(None)
            return
        self._groups, self._trusted_for = check(configuration)
        self._place.judge_by(self.allows)
        if self._link.stats.connected:
            await self._tell()

    async def _tell(self) -> None:
        """Whom devices are to trust at the broker."""
        if self._groups is not None:
            await self._telling.authorities(self._place.authorities())

    async def close(self) -> None:
        """Nothing is to be ended."""

    def verified(self) -> None:
        self._verified = self._clock()

    def allows(self, device: Device, operation: str, resource: str) -> bool:
        if self._groups is None:
            return False
        if self._trusted_for is not None and self._clock() - self._verified > self._trusted_for:
            log.info("%s is not trusted any more: the registry above was not heard of for long", device.thing)
            return False
        return self._groups.allow(device, operation, resource)

    # ------------------------------------------------------------------------------------------------- over IPC

    def operations(self) -> Mapping[str, Handler]:
        return {
            "VerifyClientDeviceIdentity": self.verify_client_device_identity,
            "GetClientDeviceAuthToken": self.get_client_device_auth_token,
            "AuthorizeClientDeviceAction": self.authorize_client_device_action,
            "SubscribeToCertificateUpdates": self.subscribe_to_certificate_updates,
        }

    def verify_client_device_identity(self, call: Call) -> Document:
        self._authorise(call)
        pem = _member(call.document, "credential").get("clientDeviceCertificate")
        if not isinstance(pem, str) or not pem:
            raise invalid("credential must have a clientDeviceCertificate")
        identifier = _identifier(pem)
        return {"isValidClientDevice": identifier is not None and self._place.active(identifier)}

    def get_client_device_auth_token(self, call: Call) -> Document:
        self._authorise(call)
        shown = _member(_member(call.document, "credential"), "mqttCredential")
        identifier, thing = _identifier(shown.get("certificatePem")), shown.get("clientId")
        if identifier is None or not isinstance(thing, str) or self._place.device(identifier, thing) is None:
            raise Fault("InvalidCredentialError", "no active certificate of a thing of that name")
        while len(self._tokens) >= MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        token = secrets.token_hex(16)
        self._tokens[token] = identifier, thing
        return {"clientDeviceAuthToken": token}

    def authorize_client_device_action(self, call: Call) -> Document:
        self._authorise(call)
        operation, resource = call.text("operation"), call.text("resource")
        held = self._tokens.get(call.text("clientDeviceAuthToken"))
        device = self._place.device(*held) if held is not None else None
        if device is None:
            raise Fault("InvalidClientDeviceAuthTokenError", "the token is not one that was given out, or not any more")
        return {"isAuthorized": self.allows(device, operation, resource)}

    def subscribe_to_certificate_updates(self, call: Call) -> Document:
        """The certificate comes at once; ours is good for years, so that no other follows."""
        self._authorise(call)
        if _member(call.document, "certificateOptions").get("certificateType") != "SERVER":
            raise invalid("certificateType must be SERVER")
        issued = self._place.issue()
        update = {
            "certificate": issued.certificate,
            "privateKey": issued.private_key,
            "publicKey": issued.public_key,
            "caCertificates": list(issued.authorities),
        }
        call.ended.append(lambda: None)
        event = {"certificateUpdate": update}
        asyncio.get_running_loop().call_soon(call.send, "CertificateUpdateEvent", event)  # after the response
        return {}

    def _authorise(self, call: Call) -> None:
        if self._groups is None:
            raise Fault("ServiceError", f"{NAME} is not deployed")
        authorise(self._components, call, NAME, "*")


def _member(document: Document, name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, Mapping):
        raise invalid(f"{name} must be an object")
    return found


def _identifier(pem: Any) -> str | None:
    """Of a certificate that is in its time; what has no PEM header is what would be between two."""
    text = str(pem) if "-----BEGIN" in str(pem) else f"-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----"
    try:
        found = x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return None
    now = datetime.datetime.now(datetime.UTC)
    return certificate_id(found) if found.not_valid_before_utc <= now <= found.not_valid_after_utc else None
