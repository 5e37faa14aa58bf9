"""Certificates: made, registered, described, switched on and off, deleted.

A private key is made only where the caller asks for one, is given out once and stored nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.pki import Authority, InvalidRequest, certificate_id
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import delete_conflict, exists, invalid
from littoral.things.names import Names
from littoral.things.registry import Certificate, Registry
from littoral.things.registry.issuers import issued, issuer_of

SETTABLE = ("ACTIVE", "INACTIVE", "REVOKED")


class Certificates(Noun):
    def __init__(self, registry: Registry, names: Names, authority: Authority) -> None:
        super().__init__(registry, names)
        self._authority = authority
        self._ca = x509.load_pem_x509_certificate(authority.certificate_pem)

    # ---------------------------------------------------------------------------------------------- making

    @operation()
    async def create_keys_and_certificate(self, call: Call, *, set_as_active: bool = False) -> Output:
        """A 2,048-bit RSA key pair, as AWS makes it, and its certificate."""
        made, private_key = await asyncio.to_thread(self._make_pair)
        fact = await self._put(made, _status(set_as_active), call.now, certificate_id(self._ca))
        return {**self._made(fact), "keyPair": key_pair(private_key)}

    async def pair(self, status: str, now: float) -> tuple[Certificate, str]:
        """The same for who provisions."""
        made, private_key = await asyncio.to_thread(self._make_pair)
        return await self._put(made, status, now, certificate_id(self._ca)), _private_pem(private_key)

    def _make_pair(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "AWS IoT Certificate")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = request.sign(private_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return self._sign(signed), private_key

    def _sign(self, request: bytes) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._authority.sign_csr(request).certificate)

    @operation()
    async def create_certificate_from_csr(
        self, call: Call, *, certificate_signing_request: str, set_as_active: bool = False
    ) -> Output:
        return self._made(await self.of_request(certificate_signing_request, _status(set_as_active), call.now))

    async def of_request(self, request: str, status: str, now: float) -> Certificate:
        """Raises InvalidRequestException."""
        try:
            made = await asyncio.to_thread(self._sign, request.encode("utf-8", "replace"))
        except InvalidRequest as error:
            raise invalid(f"Invalid CSR: {error}") from None
        return await self._put(made, status, now, certificate_id(self._ca))

    async def _put(self, made: x509.Certificate, status: str, now: float, ca_id: str | None) -> Certificate:
        pem = made.public_bytes(serialization.Encoding.PEM).decode()
        fact = Certificate(certificate_id(made), pem, status, now, now, ca_id=ca_id)
        async with self.registry.changing:
            if fact.id in self.registry.certificates:
                arn = self.names.arn("cert", fact.id)
                raise exists("The certificate is already registered.", arn, fact.id)
            await self.registry.certificates.put(fact.id, fact)
        return fact

    def _made(self, fact: Certificate) -> Output:
        return {
            "certificateArn": self.names.arn("cert", fact.id),
            "certificateId": fact.id,
            "certificatePem": fact.pem,
        }

    @operation()
    async def register_certificate_without_ca(
        self, call: Call, *, certificate_pem: str, status: str = "INACTIVE"
    ) -> Output:
        """Whoever signed it: the device port trusts this one certificate from now on."""
        if status not in ("ACTIVE", "INACTIVE"):
            raise invalid(f"A certificate cannot be registered as {status}")
        fact = await self._put(parse_certificate(certificate_pem), status, call.now, None)
        self.registry.changed([fact.id])
        return {"certificateArn": self.names.arn("cert", fact.id), "certificateId": fact.id}

    @operation()
    async def register_certificate(
        self,
        call: Call,
        *,
        certificate_pem: str,
        ca_certificate_pem: str | None = None,
        set_as_active: bool = False,
        status: str | None = None,
    ) -> Output:
        """One that a registered authority has signed, or this place's own."""
        wanted = status or _status(set_as_active)
        if wanted not in ("ACTIVE", "INACTIVE"):
            raise invalid(f"A certificate cannot be registered as {wanted}")
        fact = await self.put_given(certificate_pem, ca_certificate_pem, wanted, call.now)
        return {"certificateArn": self.names.arn("cert", fact.id), "certificateId": fact.id}

    async def put_given(self, pem: str, ca_pem: str | None, status: str, now: float) -> Certificate:
        """Raises CertificateValidationException where no authority that is known here signed it."""
        given = parse_certificate(pem)
        wanted = None if ca_pem is None else certificate_id(parse_certificate(ca_pem))
        own = certificate_id(self._ca)
        if wanted in (None, own) and issued(given, self._ca):
            return await self._put(given, status, now, own)
        authority = issuer_of(given, self.registry.authorities.values())
        if authority is None or wanted not in (None, authority.id) or authority.status != "ACTIVE":
            message = "The certificate is not signed by a registered and active CA certificate"
            raise ServiceError("CertificateValidationException", message, status=400)
        return await self._put(given, status, now, authority.id)

    # --------------------------------------------------------------------------------------------- showing

    @operation()
    async def describe_certificate(self, call: Call, *, certificate_id: str) -> Output:
        fact = self.certificate(certificate_id)
        parsed = x509.load_pem_x509_certificate(fact.pem.encode())
        described: Output = {
            **self._made(fact),
            "status": fact.status,
            "ownedBy": self.names.account,
            "creationDate": fact.created,
            "lastModifiedDate": fact.modified,
            "customerVersion": fact.version,
            "generationId": hashlib.sha256(f"{fact.id}{fact.created}".encode()).hexdigest()[:32],
            "validity": {"notBefore": parsed.not_valid_before_utc, "notAfter": parsed.not_valid_after_utc},
            "certificateMode": _mode(fact),
        }
        return {"certificateDescription": {**described, "caCertificateId": fact.ca_id} if fact.ca_id else described}

    @operation()
    async def list_certificates(
        self, call: Call, *, page_size: int | None = None, marker: str | None = None, ascending_order: bool = False
    ) -> Output:
        found, token = pages.by_age(
            ((fact.created, fact.id, fact) for fact in self.registry.certificates.values()),
            marker,
            ascending_order,
            pages.size(page_size),
        )
        return pages.with_token(
            {"certificates": [self._listed_certificate(fact) for fact in found]}, "nextMarker", token
        )

    def _listed_certificate(self, fact: Certificate) -> Output:
        return {
            "certificateArn": self.names.arn("cert", fact.id),
            "certificateId": fact.id,
            "status": fact.status,
            "certificateMode": _mode(fact),
            "creationDate": fact.created,
        }

    # -------------------------------------------------------------------------------------------- changing

    @operation()
    async def update_certificate(self, call: Call, *, certificate_id: str, new_status: str) -> Output:
        """Takes effect on live connections: a certificate that is no longer ACTIVE is disconnected."""
        if new_status not in SETTABLE:
            raise invalid(f"newStatus {new_status!r} cannot be set; there are {', '.join(SETTABLE)}")
        async with self.registry.changing:
            fact = self.certificate(certificate_id)
            changed = replace(fact, status=new_status, modified=call.now, version=fact.version + 1)
            await self.registry.certificates.put(certificate_id, changed)
        self.registry.changed([certificate_id])
        return {}

    @operation()
    async def delete_certificate(self, call: Call, *, certificate_id: str, force_delete: bool = False) -> Output:
        """Not while it is ACTIVE or attached to a thing; with policies attached only by force."""
        async with self.registry.changing:
            fact = self.certificate(certificate_id)
            if fact.status == "ACTIVE":
                message = f"Certificate must be deactivated (not ACTIVE) before deletion. Certificate ID: {fact.id}"
                raise ServiceError("CertificateStateException", message, status=406)
            arn = self.names.arn("cert", fact.id)
            if self.registry.principals.of_holder(fact.id):
                raise delete_conflict(f"Things must be detached before deletion (arn: {arn})")
            policies = self.registry.grants.of_holder(fact.id)
            if policies and not force_delete:
                raise delete_conflict(f"Certificate policies must be detached before deletion (arn: {arn})")
            for policy in policies:
                await self.registry.grants.remove(fact.id, policy)
            await self.registry.certificates.delete(fact.id)
        self.registry.changed([fact.id])
        return {}


def _status(active: bool) -> str:
    return "ACTIVE" if active else "INACTIVE"


def parse_certificate(pem: str) -> x509.Certificate:
    """Raises CertificateValidationException."""
    try:
        return x509.load_pem_x509_certificate(pem.encode("utf-8", "replace"))
    except ValueError as error:
        raise ServiceError("CertificateValidationException", f"Not a certificate: {error}", status=400) from None


def _mode(fact: Certificate) -> str:
    return "DEFAULT" if fact.ca_id else "SNI_ONLY"


def key_pair(key: rsa.RSAPrivateKey) -> dict[str, str]:
    return {"PublicKey": _public_pem(key), "PrivateKey": _private_pem(key)}


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS#1, as AWS gives it."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
