"""Who signed a certificate, among the authorities that are known."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from littoral.things.registry.facts import CaCertificate


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def issuer_of(certificate: x509.Certificate, authorities: Iterable[CaCertificate]) -> CaCertificate | None:
    """Active ones first: an authority may be registered anew under the same name and key."""
    ranked = sorted(authorities, key=lambda one: (one.status != "ACTIVE", one.created))
    for each in ranked:
        if issued(certificate, x509.load_pem_x509_certificate(each.pem.encode())):
            return each
    return None
