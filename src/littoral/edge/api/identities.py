"""Origin access identities, the older way to sign to S3: an origin that names one is signed to always."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.configchecks import IDENTITY
from littoral.edge.api.parts import Operations, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

KIND = "access-identity"
MOST = 100  # "Quotas": origin access identities per account


class IdentityOperations(Operations):
    """Create, get, update, delete, list."""

    @operation()
    async def create_cloud_front_origin_access_identity(
        self, call: Call, *, cloud_front_origin_access_identity_config: dict[str, Any]
    ) -> Output:
        """The same CallerReference with the same comment gives the same identity."""
        config = plain(cloud_front_origin_access_identity_config)
        async with self._control.changing:
            for document in self._control.all(KIND).values():
                if document["config"]["CallerReference"] == config["CallerReference"]:
                    if document["config"] != config:
                        message = f"The caller reference is that of {document['id']}."
                        raise ServiceError("CloudFrontOriginAccessIdentityAlreadyExists", message, status=409)
                    return self._created(document, call)
            if len(self._control.all(KIND)) >= MOST:
                message = f"There are {MOST} origin access identities already."
                raise ServiceError("TooManyCloudFrontOriginAccessIdentities", message, status=400)
            document = {"id": new_id(), "config": config, "etag": new_id()}
            await self._control.put(KIND, document["id"], document, deploy=False)
            return self._created(document, call)

    def _created(self, document: Document, call: Call) -> Output:
        location = f"{call.base_url}/2020-05-31/origin-access-identity/cloudfront/{document['id']}"
        return {"CloudFrontOriginAccessIdentity": _shown(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_cloud_front_origin_access_identity(self, call: Call, *, id: str) -> Output:
        document = self._identity(id)
        return {"CloudFrontOriginAccessIdentity": _shown(document), "ETag": document["etag"]}

    @operation()
    async def get_cloud_front_origin_access_identity_config(self, call: Call, *, id: str) -> Output:
        document = self._identity(id)
        return {"CloudFrontOriginAccessIdentityConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_cloud_front_origin_access_identity(
        self,
        call: Call,
        *,
        id: str,
        cloud_front_origin_access_identity_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        config = plain(cloud_front_origin_access_identity_config)
        async with self._control.changing:
            document = dict(self._identity(id))
            match_etag(document, if_match)
            if config["CallerReference"] != document["config"]["CallerReference"]:
                raise ServiceError("IllegalUpdate", "The CallerReference may not be changed.", status=400)
            document |= {"config": config, "etag": new_id()}
            await self._control.put(KIND, id, document, deploy=False)
            return {"CloudFrontOriginAccessIdentity": _shown(document), "ETag": document["etag"]}

    @operation()
    async def delete_cloud_front_origin_access_identity(
        self, call: Call, *, id: str, if_match: str | None = None
    ) -> Output:
        async with self._control.changing:
            match_etag(self._identity(id), if_match)
            for distribution in self._control.all("distribution").values():
                if any(identity_of(origin) == id for origin in items(distribution["config"], "Origins")):
                    message = f"The origin access identity is used by {distribution['id']}."
                    raise ServiceError("CloudFrontOriginAccessIdentityInUse", message, status=409)
            await self._control.delete(KIND, id)
            return {}

    @operation()
    async def list_cloud_front_origin_access_identities(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = page_of(self._control.all(KIND), marker, max_items)
        listed = [
            {"Id": each["id"], "S3CanonicalUserId": canonical_user(each["id"]), "Comment": each["config"]["Comment"]}
            for each in page
        ]
        return {"CloudFrontOriginAccessIdentityList": listing(listed, marker, max_items, following)}

    def _identity(self, identifier: str) -> Document:
        document = self._control.get(KIND, identifier)
        if document is None:
            message = "The origin access identity does not exist."
            raise ServiceError("NoSuchCloudFrontOriginAccessIdentity", message, status=404)
        return document


def identity_of(origin: Mapping[str, Any]) -> str:
    """The identity that an origin names, or ""."""
    named: str = (origin.get("S3OriginConfig") or {}).get("OriginAccessIdentity") or ""
    return named.removeprefix(IDENTITY)


def canonical_user(identifier: str) -> str:
    """Steady for an identity, and of the form of S3's."""
    return hashlib.sha512(identifier.encode()).hexdigest()[:96]


def _shown(document: Document) -> Output:
    return {
        "Id": document["id"],
        "S3CanonicalUserId": canonical_user(document["id"]),
        "CloudFrontOriginAccessIdentityConfig": document["config"],
    }
