"""The place's own certificate authority: it signs the place's servers and its devices.

ECDSA P-256 throughout, but for an authority that somebody brings. The key lies in the data folder with mode 0600.
``certificate_id`` is AWS IoT's: the SHA-256 of the DER form, in hex.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
LONG = 3650  # days: devices in the field outlive a place's administrator


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class InvalidRequest(ValueError):
    """A certificate signing request that is malformed, self-contradictory or too weak."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and, where we made it, its key pair; all PEM."""

    certificate: bytes
    private_key: bytes = b""
    public_key: bytes = b""

    @property
    def pair(self) -> tuple[bytes, bytes]:
        return self.certificate, self.private_key

    @property
    def certificate_id(self) -> str:
        return certificate_id(x509.load_pem_x509_certificate(self.certificate))


def certificate_id(certificate: x509.Certificate | bytes) -> str:
    """Hex SHA-256 of the DER form (bytes are taken as DER)."""
    der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


class Authority:
    """Use ``Authority.load_or_create``, or ``create`` for one that lies in no folder."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def load_or_create(
        cls, folder: Path, common_name: str, write: Callable[[Path, bytes], None] | None = None
    ) -> Authority:
        """The authority of that folder (``ca.pem``, ``ca.key``), made at first use. ``write`` is who makes its files,
        for their owner only, where they must outlast a power cut."""
        certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
        if certificate_file.exists() and key_file.exists():
            return cls.of(certificate_file.read_bytes(), key_file.read_bytes())
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = cls.create(common_name)
        for file, content in ((key_file, made.private_pem), (certificate_file, made.certificate_pem)):
            (write or write_private)(file, content)
        return made

    @classmethod
    def of(cls, certificate: bytes, private_key: bytes) -> Authority:
        """From its PEM forms; of several certificates the first is its own. Raises ValueError."""
        key = serialization.load_pem_private_key(private_key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("an authority's key is an elliptic-curve or RSA key")  # noqa: TRY004 - a file's value
        found = x509.load_pem_x509_certificate(certificate)
        if found.public_key() != key.public_key():
            raise ValueError("the key is not that of the certificate")
        try:
            signs = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            signs = False
        if not signs:
            raise ValueError("the certificate is not that of an authority")
        return cls(found, key)

    @classmethod
    def create(cls, common_name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        builder = _builder(name, name, key.public_key(), LONG)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def private_pem(self) -> bytes:
        return private_pem(self._key)

    def sign(self, data: bytes) -> bytes:
        """What ``verify_signature`` finds good with this authority's certificate (ECDSA, SHA-256)."""
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise TypeError("only an elliptic-curve key signs")
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def issue_server(self, names: Sequence[str], days: float = 825, key: PrivateKey | None = None) -> Issued:
        """For DNS names and IP addresses; the first is the common name. ``key`` where it is not to be made here."""
        return self._issue(names[0][:64], days, ExtendedKeyUsageOID.SERVER_AUTH, names, key)

    def issue_client(self, common_name: str, days: int = LONG) -> Issued:
        return self._issue(common_name, days, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def sign_csr(self, pem: bytes, days: int = LONG) -> Issued:
        """A device's certificate for the key and subject of its request. Raises InvalidRequest."""
        try:
            request = x509.load_pem_x509_csr(pem)
            valid = request.is_signature_valid
        except (ValueError, InvalidSignature) as problem:
            raise InvalidRequest(str(problem)) from problem
        public = request.public_key()
        if not valid:
            raise InvalidRequest("the request is not signed by its own key")
        if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or public.key_size < 256:
            raise InvalidRequest("the key must be RSA or elliptic-curve")
        if isinstance(public, rsa.RSAPublicKey) and public.key_size < 2048:
            raise InvalidRequest("an RSA key must have at least 2048 bits")
        return Issued(self._sign(request.subject, public, days, ExtendedKeyUsageOID.CLIENT_AUTH, ()))

    def _issue(
        self,
        common_name: str,
        days: float,
        purpose: x509.ObjectIdentifier,
        names: Sequence[str],
        key: PrivateKey | None = None,
    ) -> Issued:
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(common_name), key.public_key(), days, purpose, names)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Issued(certificate, private_pem(key), public)

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        days: float,
        purpose: x509.ObjectIdentifier,
        names: Sequence[str],
    ) -> bytes:
        since = self._certificate.not_valid_before_utc
        builder = _builder(subject, self._certificate.subject, public, days, since)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(self._identifier(), critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        """As the certificate has it, which somebody else may have made by another rule than ours."""
        try:
            known = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)


def verify_signature(certificate: bytes, data: bytes, signature: bytes) -> None:
    """That the holder of this certificate (PEM) has signed the data. Raises InvalidRequest."""
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise InvalidRequest("an authority's key is an elliptic-curve key")
        public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as problem:
        raise InvalidRequest("the signature is not that certificate's") from problem
    except ValueError as problem:
        raise InvalidRequest(str(problem)) from problem


def signing_request(common_name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """For an authority that may be elsewhere (PEM)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_private(file: Path, content: bytes) -> None:
    """A file that only its owner reads, from its first moment."""
    file.touch(mode=0o600)
    file.write_bytes(content)


def private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    days: float,
    since: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    """``since`` is when the issuer began: a clock that is behind it is wrong, as that of a machine without a battery,
    and what it dates is not to be over for everybody else."""
    now = datetime.datetime.now(datetime.UTC)
    begins = max(now - DAY, since or now - DAY)  # a device's clock may be behind
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(max(now, begins) + days * DAY)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
