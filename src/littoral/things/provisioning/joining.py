"""Just-in-time registration and provisioning: a device comes with a certificate that nobody here knows yet.

1. TLS has verified it against a registered authority; its connect is refused, as in AWS.
2. It is registered as PENDING_ACTIVATION, and ``$aws/events/certificates/registered/CA`` says so for rules.
3. Where the authority has a template, that is carried out; the device's next connect finds an active certificate.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from littoral.store.contract import StoreError
from littoral.things.access import Client
from littoral.things.names import Names
from littoral.things.provisioning.carrying import NotProvisioned
from littoral.things.provisioning.service import PENDING, Provisioning
from littoral.things.registry import CaCertificate, Certificate, Registry
from littoral.things.registry.issuers import issuer_of

log = logging.getLogger(__name__)

_SUBJECT = {
    NameOID.COUNTRY_NAME: "Country",
    NameOID.ORGANIZATION_NAME: "Organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OrganizationalUnit",
    NameOID.DN_QUALIFIER: "DistinguishedNameQualifier",
    NameOID.STATE_OR_PROVINCE_NAME: "StateName",
    NameOID.COMMON_NAME: "CommonName",
    NameOID.SERIAL_NUMBER: "SerialNumber",
}


class Joining:
    """``publish`` sends an event; ``clock`` gives Unix seconds."""

    def __init__(
        self,
        registry: Registry,
        provisioning: Provisioning,
        names: Names,
        publish: Callable[[str, bytes], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._provisioning = provisioning
        self._names = names
        self._publish = publish
        self._clock = clock
        self._under_way: set[str] = set()

    def concerns(self, client: Client) -> bool:
        """Whether this refused client may be on its way in."""
        if client.certificate is None or client.principal in self._under_way:
            return False
        found = self._registry.certificates.get(client.principal)
        if found is not None and found.status != PENDING:
            return False
        return any(authority.auto and authority.status == "ACTIVE" for authority in self._registry.authorities.values())

    async def join(self, client: Client) -> None:
        """What is wrong with it is logged, and the device may try again."""
        self._under_way.add(client.principal)
        try:
            await self._join(client)
        except (NotProvisioned, StoreError) as problem:
            log.warning("certificate %s of %s is not provisioned: %s", client.principal, client.host, problem)
        finally:
            self._under_way.discard(client.principal)

    async def _join(self, client: Client) -> None:
        given = x509.load_der_x509_certificate(client.certificate or b"")
        authority = issuer_of(given, self._registry.authorities.values())
        if authority is None or not authority.auto or authority.status != "ACTIVE":
            return
        certificate = await self._registered(given, client.principal, authority)
        if certificate.status != PENDING:
            return
        event = {
            "certificateId": certificate.id,
            "caCertificateId": authority.id,
            "timestamp": int(self._clock() * 1000),
            "certificateStatus": PENDING,
            "awsAccountId": self._names.account,
            "certificateRegistrationTimestamp": str(int(certificate.created * 1000)),
            "sourceIp": client.host,
        }
        await self._publish(f"$aws/events/certificates/registered/{authority.id}", json.dumps(event).encode())
        body = self._body(authority)
        if body is not None:
            await self._provisioning.carry_out(body, _parameters(given), certificate)

    async def _registered(self, given: x509.Certificate, identifier: str, authority: CaCertificate) -> Certificate:
        now = self._clock()
        async with self._registry.changing:
            found = self._registry.certificates.get(identifier)
            if found is None:
                pem = given.public_bytes(Encoding.PEM).decode()
                found = Certificate(identifier, pem, PENDING, now, now, ca_id=authority.id)
                await self._registry.certificates.put(identifier, found)
        return found

    def _body(self, authority: CaCertificate) -> str | None:
        name = authority.config.get("templateName")
        if name is None:
            return authority.config.get("templateBody") or None
        template = self._provisioning.templates.get(name)
        if template is None or not template.enabled:
            raise NotProvisioned("AccessDenied", f"The provisioning template {name} is not there or not enabled", 403)
        return template.default.text


def _parameters(certificate: x509.Certificate) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for attribute in certificate.subject:
        name = _SUBJECT.get(attribute.oid)
        if name is not None and isinstance(attribute.value, str):
            found.setdefault(f"AWS::IoT::Certificate::{name}", attribute.value)
    return found
