"""Viewers' certificates: whether a distribution asks for them, and whose it believes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.edge.plan.document import Document


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    required: bool  # else a viewer may come without one
    authorities: str  # PEM, of the distribution's trust store


def clients_of(config: Document, policies: Mapping[str, Document]) -> ClientCertificates | None:
    asked = config.get("ViewerMtlsConfig") or {}
    if not asked.get("Mode"):
        return None
    store = (asked.get("TrustStoreConfig") or {})["TrustStoreId"]
    return ClientCertificates(asked["Mode"] == "required", policies[store]["certificates"])
