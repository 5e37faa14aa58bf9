"""Whose certificates the device port takes beside those of the place's own authority, and whether it may do without."""

from __future__ import annotations

import ssl

from littoral.things.authorizers import Authorizers
from littoral.things.registry import Registry


class Trust:
    """TLS contexts that take registered authorities, and certificates that were registered alone; also those to come.
    What is deleted is refused when it connects. While an authorizer is active, clients may come without a
    certificate."""

    def __init__(self, registry: Registry, authorizers: Authorizers) -> None:
        self._registry = registry
        self._authorizers = authorizers
        self._contexts: list[tuple[ssl.SSLContext, set[str]]] = []  # with what is loaded into it
        self._open: set[ssl.SSLContext] = set()
        self.anchors = ""  # PEM, all of them

    def add(self, tls: ssl.SSLContext, *, signers: bool = False) -> None:
        """``signers``: clients may come without a certificate at any time, and sign their requests."""
        if signers:
            self._open.add(tls)
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a device's own certificate may be what is trusted
        self._contexts.append((tls, set()))
        self.renew()

    def renew(self) -> None:
        """The registry has changed, or an authorizer."""
        needed = ssl.CERT_OPTIONAL if self._authorizers.any_active else ssl.CERT_REQUIRED
        for tls, _ in self._contexts:
            tls.verify_mode = ssl.CERT_OPTIONAL if tls in self._open else needed
        anchors = self._registry.anchors()
        self.anchors = "".join(anchors.values())
        for identifier, pem in anchors.items():
            for tls, loaded in self._contexts:
                if identifier not in loaded:
                    tls.load_verify_locations(cadata=pem)
                    loaded.add(identifier)
