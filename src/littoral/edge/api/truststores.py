"""Trust stores: the authorities whose certificates a distribution's viewers show (viewer mTLS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, invalid, match_etag, page_of
from littoral.edge.control import new_id
from littoral.store.documents import Document

KIND = "trust-store"
NOTES = "of CaCertificatesBundleS3Location Region is not looked at: buckets are this place's"


class TrustStoreOperations(Operations):
    """Create, get, update, delete, list."""

    @operation(notes=NOTES)
    async def create_trust_store(
        self, call: Call, *, name: str, ca_certificates_bundle_source: dict[str, Any]
    ) -> Output:
        """Active when it returns, with the certificates that the object holds now."""
        certificates, count = await self._bundle(ca_certificates_bundle_source)
        async with self._control.changing:
            if any(each["name"] == name for each in self._control.all(KIND).values()):
                raise ServiceError("EntityAlreadyExists", f"A trust store named {name} exists.", status=409)
            identifier = new_id("ts_")
            document = {
                "id": identifier,
                "name": name,
                "arn": f"arn:aws:cloudfront::{self._account}:trust-store/{identifier}",
                "etag": new_id(),
                "modified": call.now,
                "count": count,
                "config": {"certificates": certificates},
            }
            await self._control.put(KIND, identifier, document)
        return _answer(document)

    async def _bundle(self, source: Mapping[str, Any]) -> tuple[str, int]:
        """The authorities' certificates of an object in PEM, and how many."""
        place = source.get("CaCertificatesBundleS3Location")
        if place is None or self.objects is None:
            raise invalid("CaCertificatesBundleSource must name an object of S3.")
        try:
            found = x509.load_pem_x509_certificates(await self.objects.read(place["Bucket"], place["Key"]))
        except ServiceError as problem:
            raise invalid(f"The bundle cannot be read: {problem.message}") from problem
        except ValueError as problem:
            raise invalid("The bundle is not a list of certificates in PEM.") from problem
        return b"".join(each.public_bytes(Encoding.PEM) for each in found).decode(), len(found)

    @operation()
    async def get_trust_store(self, call: Call, *, identifier: str) -> Output:
        return _answer(self._trust_store(identifier))

    @operation(notes=NOTES)
    async def update_trust_store(
        self, call: Call, *, id: str, if_match: str, ca_certificates_bundle_source: dict[str, Any] | None = None
    ) -> Output:
        bundle = await self._bundle(ca_certificates_bundle_source) if ca_certificates_bundle_source else None
        async with self._control.changing:
            document = dict(self._trust_store(id))
            match_etag(document, if_match)
            if bundle is not None:
                document |= {"config": {"certificates": bundle[0]}, "count": bundle[1]}
            document |= {"etag": new_id(), "modified": call.now}
            await self._control.put(KIND, document["id"], document)
        return _answer(document)

    @operation()
    async def delete_trust_store(self, call: Call, *, id: str, if_match: str) -> Output:
        async with self._control.changing:
            document = self._trust_store(id)
            match_etag(document, if_match)
            for each in self._control.all("distribution").values():
                if trust_store_of(each["config"]) == document["id"]:
                    raise ServiceError("CannotDeleteEntityWhileInUse", "The trust store is in use.", status=409)
            await self._control.delete(KIND, document["id"])
        return {}

    @operation()
    async def list_trust_stores(self, call: Call, *, marker: str | None = None, max_items: int | None = None) -> Output:
        page, following = page_of(self._control.all(KIND), marker, str(max_items) if max_items is not None else None)
        listed = [{**_shown(each), "ETag": each["etag"]} for each in page]
        return {"TrustStoreList": listed, **({"NextMarker": following} if following is not None else {})}

    def _trust_store(self, identifier: str) -> Document:
        """By its id, its ARN or its name."""
        for each in self._control.all(KIND).values():
            if identifier in (each["id"], each["arn"], each["name"]):
                return each
        raise ServiceError("EntityNotFound", "The trust store does not exist.", status=404)


def trust_store_of(config: Mapping[str, Any]) -> str | None:
    """The id of the store that a configuration names."""
    asked = config.get("ViewerMtlsConfig") or {}
    store: str | None = (asked.get("TrustStoreConfig") or {}).get("TrustStoreId")
    return store


def _answer(document: Document) -> Output:
    return {"TrustStore": _shown(document), "ETag": document["etag"]}


def _shown(document: Document) -> Output:
    return {
        "Id": document["id"],
        "Arn": document["arn"],
        "Name": document["name"],
        "Status": "active",
        "NumberOfCaCertificates": document["count"],
        "LastModifiedTime": document["modified"],
    }
