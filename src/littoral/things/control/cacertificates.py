"""CA certificates: authorities of others, whose devices may come with certificates of their own.

Whoever registers one proves to hold its key: by a certificate that it signed for the registration code. Without it
(SNI_ONLY) AWS wants devices to name the server, which every client does that checks the server's name.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.pki import certificate_id
from littoral.things.control import pages
from littoral.things.control.certificates import parse_certificate
from littoral.things.control.errors import exists, invalid, not_found
from littoral.things.control.provisioning import check_body
from littoral.things.control.registrationtasks import RegistrationTasks
from littoral.things.control.tagging import TagList
from littoral.things.registry import CaCertificate
from littoral.things.registry.issuers import issued


class CaCertificates(RegistrationTasks):
    def _authority_of(self, identifier: str) -> CaCertificate:
        found = self.registry.authorities.get(identifier)
        if found is None:
            raise not_found(f"CA certificate {identifier} does not exist.")
        return found

    @operation()
    async def get_registration_code(self, call: Call) -> Output:
        """The same until it is deleted."""
        async with self.registry.changing:
            code = await self.registry.settings.get("registration-code")
            if code is None:
                code = {"code": secrets.token_hex(32)}
                await self.registry.settings.put("registration-code", code)
        return {"registrationCode": code["code"]}

    @operation()
    async def delete_registration_code(self, call: Call) -> Output:
        await self.registry.settings.delete("registration-code")
        return {}

    @operation()
    async def register_ca_certificate(
        self,
        call: Call,
        *,
        ca_certificate: str,
        verification_certificate: str | None = None,
        set_as_active: bool = False,
        allow_auto_registration: bool = False,
        registration_config: dict[str, Any] | None = None,
        certificate_mode: str = "DEFAULT",
        tags: TagList = (),
    ) -> Output:
        authority = parse_certificate(ca_certificate)
        if not _signs(authority):
            raise ServiceError("CertificateValidationException", "It is not a CA certificate", status=400)
        self._check_config(registration_config or {})
        if certificate_mode == "DEFAULT":
            await self._verify(authority, verification_certificate)
        identifier = certificate_id(authority)
        status = "ACTIVE" if set_as_active else "INACTIVE"
        fact = CaCertificate(
            identifier,
            ca_certificate,
            status,
            call.now,
            call.now,
            allow_auto_registration,
            registration_config or {},
            certificate_mode,
        )
        async with self.registry.changing:
            if identifier in self.registry.authorities:
                raise exists("The CA certificate is already registered.", self._ca_arn(identifier), identifier)
            await self.tag_new(self._ca_arn(identifier), call.now, tags)
            await self.registry.authorities.put(identifier, fact)
        self.registry.changed([])
        return {"certificateArn": self._ca_arn(identifier), "certificateId": identifier}

    def _ca_arn(self, identifier: str) -> str:
        return self.names.arn("cacert", identifier)

    def _check_config(self, config: Mapping[str, Any]) -> None:
        """A template of its own, or the name of a JITP template."""
        if config.get("templateBody"):
            check_body(config["templateBody"])
        name = config.get("templateName")
        if name is not None and self._provisioning_template(name).kind != "JITP":
            raise invalid(f"Provisioning template {name} is not of the type JITP")

    async def _verify(self, authority: x509.Certificate, pem: str | None) -> None:
        if pem is None:
            raise invalid("verificationCertificate is needed unless certificateMode is SNI_ONLY")
        given = parse_certificate(pem)
        if not issued(given, authority):
            raise ServiceError(
                "CertificateValidationException", "The verification certificate is not signed by the CA", status=400
            )
        code = await self.registry.settings.get("registration-code")
        names = [str(name.value) for name in given.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if code is None or names != [code["code"]]:
            message = "The common name of the verification certificate is not the registration code"
            raise ServiceError("RegistrationCodeValidationException", message, status=400)

    # --------------------------------------------------------------------------------------------- showing

    @operation()
    async def describe_ca_certificate(self, call: Call, *, certificate_id: str) -> Output:
        fact = self._authority_of(certificate_id)
        parsed = x509.load_pem_x509_certificate(fact.pem.encode())
        described = {
            **self._listed_ca(fact),
            "certificatePem": fact.pem,
            "ownedBy": self.names.account,
            "autoRegistrationStatus": "ENABLE" if fact.auto else "DISABLE",
            "lastModifiedDate": fact.modified,
            "customerVersion": fact.version,
            "generationId": fact.id[:32],
            "validity": {"notBefore": parsed.not_valid_before_utc, "notAfter": parsed.not_valid_after_utc},
            "certificateMode": fact.mode,
        }
        shown: Output = {"certificateDescription": described}
        # Nothing where there is nothing: Terraform would want it removed.
        return {**shown, "registrationConfig": fact.config} if fact.config else shown

    def _listed_ca(self, fact: CaCertificate) -> Output:
        return {
            "certificateArn": self._ca_arn(fact.id),
            "certificateId": fact.id,
            "status": fact.status,
            "creationDate": fact.created,
        }

    @operation()
    async def list_ca_certificates(
        self,
        call: Call,
        *,
        page_size: int | None = None,
        marker: str | None = None,
        ascending_order: bool = False,
        template_name: str | None = None,
    ) -> Output:
        rows = (
            (fact.created, fact.id, fact)
            for fact in self.registry.authorities.values()
            if template_name in (None, fact.config.get("templateName"))
        )
        found, token = pages.by_age(rows, marker, ascending_order, pages.size(page_size))
        return pages.with_token({"certificates": [self._listed_ca(fact) for fact in found]}, "nextMarker", token)

    @operation()
    async def list_certificates_by_ca(
        self,
        call: Call,
        *,
        ca_certificate_id: str,
        page_size: int | None = None,
        marker: str | None = None,
        ascending_order: bool = False,
    ) -> Output:
        rows = (
            (fact.created, fact.id, fact)
            for fact in self.registry.certificates.values()
            if fact.ca_id == ca_certificate_id
        )
        found, token = pages.by_age(rows, marker, ascending_order, pages.size(page_size))
        return pages.with_token(
            {"certificates": [self._listed_certificate(fact) for fact in found]}, "nextMarker", token
        )

    # -------------------------------------------------------------------------------------------- changing

    @operation()
    async def update_ca_certificate(
        self,
        call: Call,
        *,
        certificate_id: str,
        new_status: str | None = None,
        new_auto_registration_status: str | None = None,
        registration_config: dict[str, Any] | None = None,
        remove_auto_registration: bool = False,
    ) -> Output:
        """An inactive authority registers nobody; certificates that are registered stay as they are, as in AWS."""
        self._check_config(registration_config or {})
        async with self.registry.changing:
            fact = self._authority_of(certificate_id)
            auto = fact.auto if new_auto_registration_status is None else new_auto_registration_status == "ENABLE"
            changed = replace(
                fact,
                status=new_status or fact.status,
                auto=auto and not remove_auto_registration,
                config={} if remove_auto_registration else registration_config or fact.config,
                modified=call.now,
                version=fact.version + 1,
            )
            await self.registry.authorities.put(certificate_id, changed)
        return {}

    @operation()
    async def delete_ca_certificate(self, call: Call, *, certificate_id: str) -> Output:
        async with self.registry.changing:
            if self._authority_of(certificate_id).status == "ACTIVE":
                message = "A CA certificate must be INACTIVE before it is deleted"
                raise ServiceError("CertificateStateException", message, status=406)
            await self.registry.authorities.delete(certificate_id)
        return {}


def _signs(authority: x509.Certificate) -> bool:
    try:
        return authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
