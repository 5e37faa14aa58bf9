"""What can be put to a distribution without its whole configuration: a web ACL, a name; and who has a trust store.

These operations came later than the others and say EntityNotFound where those say NoSuchDistribution.
"""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.lookups import LookupOperations, check_alias, overlap
from littoral.edge.api.parts import invalid, listing, match_etag, page_of
from littoral.edge.api.shapes import summary
from littoral.edge.api.truststores import TrustStoreOperations, trust_store_of
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document


class AssociationOperations(LookupOperations, TrustStoreOperations):
    """Of web ACLs and names with distributions."""

    @operation()
    async def associate_distribution_web_acl(
        self, call: Call, *, id: str, web_acl_arn: str, if_match: str | None = None
    ) -> Output:
        document = await self._protect(call, id, web_acl_arn, if_match)
        return {"Id": id, "WebACLArn": web_acl_arn, "ETag": document["etag"]}

    @operation()
    async def disassociate_distribution_web_acl(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        document = await self._protect(call, id, "", if_match)
        return {"Id": id, "ETag": document["etag"]}

    async def _protect(self, call: Call, identifier: str, arn: str, if_match: str | None) -> Document:
        async with self._control.changing:
            document = dict(self._entity(identifier))
            match_etag(document, if_match)
            try:
                self._check_web_acl(arn)
            except ServiceError as problem:
                raise ServiceError("EntityNotFound", problem.message, status=404) from problem
            config = document["config"] | {"WebACLId": arn}
            document |= {"config": config, "etag": new_id(), "modified": call.now}
            await self._control.put("distribution", identifier, document)
        return document

    def _entity(self, identifier: str) -> Document:
        document = self._control.get("distribution", identifier)
        if document is None:
            raise ServiceError("EntityNotFound", "The distribution does not exist.", status=404)
        return document

    # ------------------------------------------------------------------------------------------- names

    @operation(notes="no proof of ownership is asked for; tenants are refused")
    async def list_domain_conflicts(
        self,
        call: Call,
        *,
        domain: str,
        domain_control_validation_resource: dict[str, Any],
        max_items: int | None = None,
        marker: str | None = None,
    ) -> Output:
        """The distributions that have the name, or a wildcard above or below it."""
        own = self._target(domain_control_validation_resource)["id"]
        found: dict[str, Output] = {
            f"{name} {document['id']}": {
                "Domain": name,
                "ResourceType": "distribution",
                "ResourceId": document["id"],
                "AccountId": self._account,
            }
            for document in self._control.all("distribution").values()
            for name in items(document["config"], "Aliases")
            if document["id"] != own and overlap(name.lower(), domain.lower())
        }
        page, following = page_of(found, marker, str(max_items) if max_items is not None else None)
        return {"DomainConflicts": page, **({"NextMarker": following} if following is not None else {})}

    @operation(notes="no proof of ownership is asked for; tenants are refused")
    async def update_domain_association(
        self, call: Call, *, domain: str, target_resource: dict[str, Any], if_match: str | None = None
    ) -> Output:
        """The name moves to the target, as AssociateAlias moves it."""
        async with self._control.changing:
            target = self._target(target_resource)
            match_etag(target, if_match)
            check_alias(domain)
            moved = await self._move(call, target, domain)
        return {"Domain": domain, "ResourceId": moved["id"], "ETag": moved["etag"]}

    def _target(self, resource: dict[str, Any]) -> Document:
        if resource.get("DistributionTenantId"):
            raise ServiceError("NotImplemented", "Tenants are not implemented here.", status=501)
        if not resource.get("DistributionId"):
            raise invalid("A distribution is to be named.")
        return self._entity(resource["DistributionId"])

    # ------------------------------------------------------------------------------------------- lists

    @operation()
    async def list_distributions_by_trust_store(
        self, call: Call, *, trust_store_identifier: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        store = self._trust_store(trust_store_identifier)["id"]
        found = self._distributions_where(lambda config: trust_store_of(config) == store)
        return self._listed(found, marker, max_items)

    @operation(notes="every distribution's is direct: tenants are refused")
    async def list_distributions_by_connection_mode(
        self, call: Call, *, connection_mode: str, marker: str | None = None, max_items: int | None = None
    ) -> Output:
        if connection_mode not in {"direct", "tenant-only"}:
            raise invalid("ConnectionMode is direct or tenant-only.")
        found = self._distributions_where(lambda _: connection_mode == "direct")
        return self._listed(found, marker, str(max_items) if max_items is not None else None)

    def _listed(self, found: dict[str, Document], marker: str | None, max_items: str | None) -> Output:
        page, following = page_of(found, marker, max_items)
        summaries = [summary(self._distribution(document)) for document in page]
        return {"DistributionList": listing(summaries, marker, max_items, following)}
