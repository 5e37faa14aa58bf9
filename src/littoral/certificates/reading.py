"""What a certificate says of itself, and whether an imported one may be taken. Pure.

Sources: "Prerequisites for importing ACM certificates" and "Certificate and key format for importing" of ACM's guide.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from littoral.certificates.errors import invalid
from littoral.net.pki import PrivateKey, private_pem

RSA_SIZES: Final = frozenset((1024, 2048, 3072, 4096))
CURVES: Final = {"secp256r1": "EC_prime256v1", "secp384r1": "EC_secp384r1", "secp521r1": "EC_secp521r1"}
USAGES: Final = {
    "digital_signature": "DIGITAL_SIGNATURE",
    "content_commitment": "NON_REPUDIATION",
    "key_encipherment": "KEY_ENCIPHERMENT",
    "data_encipherment": "DATA_ENCIPHERMENT",
    "key_agreement": "KEY_AGREEMENT",
    "key_cert_sign": "CERTIFICATE_SIGNING",
    "crl_sign": "CRL_SIGNING",
}
PURPOSES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH: "TLS_WEB_SERVER_AUTHENTICATION",
    ExtendedKeyUsageOID.CLIENT_AUTH: "TLS_WEB_CLIENT_AUTHENTICATION",
    ExtendedKeyUsageOID.CODE_SIGNING: "CODE_SIGNING",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "EMAIL_PROTECTION",
    ExtendedKeyUsageOID.TIME_STAMPING: "TIME_STAMPING",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP_SIGNING",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "ANY",
}


ECDSA: Final = frozenset(
    (
        SignatureAlgorithmOID.ECDSA_WITH_SHA1,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    )
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one certificate, in ACM's words."""

    names: tuple[str, ...]  # in lower case
    subject: str
    issuer: str
    serial: str
    begins: float
    ends: float
    key_algorithm: str
    signature_algorithm: str
    usages: tuple[str, ...]
    purposes: tuple[tuple[str, str], ...]  # name and OID


def facts_of(pem: str) -> Facts:
    """Raises ValidationException for a key that ACM does not take."""
    found = x509.load_pem_x509_certificate(pem.encode())
    digest = found.signature_hash_algorithm
    kind = "ECDSA" if found.signature_algorithm_oid in ECDSA else "RSA"
    return Facts(
        names_of(found),
        found.subject.rfc4514_string(),
        _named(found.issuer),
        ":".join(f"{byte:02x}" for byte in found.serial_number.to_bytes(20).lstrip(b"\0")),
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
        key_algorithm_of(found),
        f"{digest.name.upper()}WITH{kind}" if digest is not None else kind,
        tuple(_usages(found)),
        tuple(_purposes(found)),
    )


def fingerprint_of(pem: str) -> str:
    """Tells one certificate, and so its key, from another."""
    return hashlib.sha256(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)).hexdigest()


def covers(names: Iterable[str], host: str) -> bool:
    """Whether a certificate for these names may be shown for a host, which may itself be ``*.example.org``: a
    wildcard stands for one label (RFC 6125 s. 6.4.3)."""
    host = host.lower()
    return host in (names := set(names)) or "*." + host.partition(".")[2] in names


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The common name first, where it is a domain name, then the alternative ones."""
    found = [str(each.value).lower() for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    common = [name for name in found if "." in name and " " not in name]
    try:
        more = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(common)
    alternatives = [name.lower() for name in more.get_values_for_type(x509.DNSName)]
    return tuple(dict.fromkeys([name for name in common if name in alternatives] + alternatives))


def key_algorithm_of(certificate: x509.Certificate) -> str:
    """Raises ValidationException."""
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey) and public.key_size in RSA_SIZES:
        return f"RSA_{public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES:
        return CURVES[public.curve.name]
    raise invalid("The key algorithm of the certificate is not supported.")


def check_import(certificate: bytes, private_key: bytes, chain: bytes, now: float) -> tuple[str, str, str]:
    """The three in PEM, normalised. Raises ValidationException."""
    (own, *more) = _certificates(certificate, "certificate")
    if more:
        raise invalid("The certificate field contains more than one certificate. You can specify only one.")
    key_algorithm_of(own)
    if not names_of(own):
        raise invalid("The certificate is for no domain name.")
    _check_time(own, now)
    above = _certificates(chain, "certificate chain") if chain.strip() else []
    for lower, upper in zip([own, *above], above, strict=False):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature) as problem:
            raise invalid("Could not validate the certificate with the certificate chain.") from problem
    key = _check_key(own, private_key)
    pem = own.public_bytes(Encoding.PEM).decode()
    return pem, key, "".join(each.public_bytes(Encoding.PEM).decode() for each in above)


def _check_key(certificate: x509.Certificate, private_key: bytes) -> str:
    """Nothing of the key, nor of the reader's own message of it, is ever told."""
    try:
        key = load_pem_private_key(private_key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise invalid("The private key is not supported: it must be an unencrypted key in PEM.") from None
    if key.public_key() != certificate.public_key():
        raise invalid("The private key does not match the certificate.")
    assert isinstance(key, PrivateKey)  # as the certificate's is
    return private_pem(key).decode()


def _check_time(certificate: x509.Certificate, now: float) -> None:
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    if moment >= certificate.not_valid_after_utc:
        raise invalid("The certificate has expired.")
    if moment < certificate.not_valid_before_utc:
        raise invalid("The certificate is not valid yet.")


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as problem:
        raise invalid(f"The {what} is not in PEM format.") from problem


def _named(name: x509.Name) -> str:
    """As ACM tells an issuer: its organisation, else its common name."""
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for each in name.get_attributes_for_oid(kind):
            return str(each.value)
    return name.rfc4514_string()


def _usages(certificate: x509.Certificate) -> list[str]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ["ANY"]
    return [told for name, told in USAGES.items() if getattr(usage, name)]


def _purposes(certificate: x509.Certificate) -> list[tuple[str, str]]:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return [("NONE", "")]
    return [(PURPOSES.get(each, "CUSTOM"), each.dotted_string) for each in purposes]
