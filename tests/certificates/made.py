"""Certificates as somebody brings them: an authority of their own, names, keys and times to choose."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from littoral.net.pki import Authority, PrivateKey, private_pem

AUTHORITY = Authority.create("A stranger's authority")


@dataclass
class Brought:
    """As ImportCertificate takes it; all PEM."""

    certificate: bytes
    key: bytes
    chain: bytes = AUTHORITY.certificate_pem

    @property
    def given(self) -> dict[str, bytes]:
        given = {"Certificate": self.certificate, "PrivateKey": self.key, "CertificateChain": self.chain}
        return {name: value for name, value in given.items() if value}


def brought(*names: str, key: PrivateKey | None = None) -> Brought:
    """By the stranger's authority."""
    issued = AUTHORITY.issue_server(names, key=key)
    return Brought(issued.certificate, issued.private_key)


def self_signed(begins: int, ends: int, *names: str, key: PrivateKey | None = None) -> Brought:
    """In days from now; without names it is for none."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(begins))
        .not_valid_after(now + datetime.timedelta(ends))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Brought(made, private_pem(key), b"")


def rsa_key(size: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, size)


def locked(key: bytes) -> bytes:
    """The same key behind a password."""
    loaded = serialization.load_pem_private_key(key, None)
    form = serialization.PrivateFormat.PKCS8
    return loaded.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))


def names_in(certificate: bytes) -> set[str]:
    """Of a certificate in DER."""
    found = x509.load_der_x509_certificate(certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))
