"""aws.greengrass.clientdevices.Auth: judges client devices by device groups, at the broker and for components over IPC.

Without it in a deployment devices are judged by their IoT policies, as before.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509

from littoral.core.clientdevices.certificates import BrokerCertificates
from littoral.core.clientdevices.groups import NAME, Device
from littoral.core.clientdevices.ports import ClientPlace, ServerCertificate
from littoral.core.clientdevices.settings import Settings, settings_of
from littoral.core.clientdevices.telling import Telling
from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid
from littoral.core.ipc.ports import Components
from littoral.core.link import Link
from littoral.net.pki import certificate_id

log = logging.getLogger(__name__)


class ClientDeviceAuth:
    """``verified`` is to be called whenever the registry above was heard of."""

    def __init__(
        self,
        place: ClientPlace,
        components: Components,
        telling: Telling,
        certificates: BrokerCertificates,
        link: Link,
        clock: Callable[[], float],
    ) -> None:
        self._place = place
        self._telling = telling
        self._certificates = certificates
        self._link = link
        self._components = components
        self._clock = clock
        self._settings: Settings | None = None
        self._verified = clock()
        self._tokens: dict[str, tuple[str, str]] = {}  # -> certificate, thing
        link.on_connected(self._tell)

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = None if configuration is None else settings_of(configuration)
        await self._certificates.play(settings)
        if settings is not None or self._settings is not None:
            self._settings = settings
            self._place.judge_by(self.allows if settings is not None else None)
        if self._link.stats.connected:
            await self._tell()

    async def _tell(self) -> None:
        """Whom devices are to trust at the broker."""
        if self._settings is not None:
            await self._telling.authorities(self._place.authorities())

    async def close(self) -> None:
        await self._certificates.close()

    def verified(self) -> None:
        self._verified = self._clock()

    def allows(self, device: Device, operation: str, resource: str) -> bool:
        if self._settings is None:
            return False
        trusted_for = self._settings.trusted_for
        if trusted_for is not None and self._clock() - self._verified > trusted_for:
            log.info("%s is not trusted any more: the registry above was not heard of for long", device.thing)
            return False
        return self._settings.groups.allow(device, operation, resource)

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
        most = self._settings.most_tokens if self._settings is not None else 0
        while self._tokens and len(self._tokens) >= most:
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
        """A certificate comes at once, and whenever another takes its place."""
        self._authorise(call)
        if _member(call.document, "certificateOptions").get("certificateType") != "SERVER":
            raise invalid("certificateType must be SERVER")

        def send(issued: ServerCertificate) -> None:
            update = {
                "certificate": issued.certificate,
                "privateKey": issued.private_key,
                "publicKey": issued.public_key,
                "caCertificates": list(issued.authorities),
            }
            call.send("CertificateUpdateEvent", {"certificateUpdate": update})

        call.ended.append(self._certificates.listen(send))
        asyncio.get_running_loop().call_soon(send, self._certificates.issue())  # after the response
        return {}

    def _authorise(self, call: Call) -> None:
        if self._settings is None:
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
