"""Distributions. ETags are new with every change; ``IfMatch`` missing is InvalidIfMatchVersion, another one
PreconditionFailed."""

from __future__ import annotations

import uuid
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.checks import Checks
from littoral.edge.api.keys import trusted_groups
from littoral.edge.api.parts import listing, match_etag, page_of, plain
from littoral.edge.api.shapes import filled, summary
from littoral.edge.api.tags import check_tags
from littoral.edge.control import new_id
from littoral.edge.honoured import NOTES
from littoral.edge.plan import items
from littoral.store.documents import Document


class DistributionOperations(Checks):
    """Create, get, update, delete, list."""

    @operation(notes=NOTES)
    async def create_distribution(self, call: Call, *, distribution_config: dict[str, Any]) -> Output:
        """InProgress until every edge location has it."""
        return await self._create(call, distribution_config, [])

    @operation(notes=NOTES)
    async def create_distribution_with_tags(
        self, call: Call, *, distribution_config_with_tags: dict[str, Any]
    ) -> Output:
        """The same, with tags."""
        tags = items(distribution_config_with_tags, "Tags")
        return await self._create(call, distribution_config_with_tags["DistributionConfig"], tags)

    async def _create(self, call: Call, config: dict[str, Any], tags: list[Any]) -> Output:
        async with self._control.changing:
            reference = config["CallerReference"]
            for document in self._control.all("distribution").values():
                if document["config"]["CallerReference"] == reference:
                    if document["config"] == plain(config):
                        return self._answer(document, call)
                    message = f"The caller reference that you are using is associated with {document['id']}."
                    raise ServiceError("DistributionAlreadyExists", message, status=409)
            check_tags(tags)
            await self._check(config, None)
            identifier = new_id()
            document = {
                "id": identifier,
                "domain": f"d{uuid.uuid4().hex[:13]}.cloudfront.net",
                "config": plain(config),
                "etag": new_id(),
                "modified": call.now,
            }
            if tags:
                await self._control.put("tags", identifier, {"tags": tags}, deploy=False)
            await self._control.put("distribution", identifier, document)
            return self._answer(document, call)

    def _answer(self, document: Document, call: Call) -> Output:
        location = f"{call.base_url}/2020-05-31/distribution/{document['id']}"
        return {"Distribution": self._distribution(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_distribution(self, call: Call, *, id: str) -> Output:
        """Status is Deployed once every location has acknowledged the distribution's revision."""
        document = self._found(id)
        return {"Distribution": self._distribution(document), "ETag": document["etag"]}

    @operation()
    async def get_distribution_config(self, call: Call, *, id: str) -> Output:
        document = self._found(id)
        return {"DistributionConfig": filled(document["config"]), "ETag": document["etag"]}

    @operation(notes=NOTES)
    async def update_distribution(
        self,
        call: Call,
        *,
        id: str,
        distribution_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        async with self._control.changing:
            document = dict(self._found(id))
            match_etag(document, if_match)
            if distribution_config["CallerReference"] != document["config"]["CallerReference"]:
                raise ServiceError("IllegalUpdate", "The CallerReference may not be changed.", status=400)
            await self._check(distribution_config, id)
            document |= {"config": plain(distribution_config), "etag": new_id(), "modified": call.now}
            await self._control.put("distribution", id, document)
            return {"Distribution": self._distribution(document), "ETag": document["etag"]}

    @operation()
    async def delete_distribution(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            document = self._found(id)
            match_etag(document, if_match)
            if document["config"]["Enabled"]:
                message = "The distribution you are trying to delete has not been disabled."
                raise ServiceError("DistributionNotDisabled", message, status=409)
            for policy in self._control.all("continuous-deployment-policy").values():
                if document["domain"] in items(policy["config"], "StagingDistributionDnsNames"):
                    message = f"The staging distribution is used by the policy {policy['id']}."
                    raise ServiceError("ResourceInUse", message, status=409)
            await self._control.delete("distribution", id)
            for kind in ("tags", "monitoring"):
                if self._control.get(kind, id) is not None:
                    await self._control.delete(kind, id)
            for key in [key for key, each in self._control.all("invalidation").items() if each["distribution"] == id]:
                await self._control.delete("invalidation", key)
            return {}

    @operation()
    async def list_distributions(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = page_of(self._control.all("distribution"), marker, max_items)
        summaries = [summary(self._distribution(document)) for document in page]
        return {"DistributionList": listing(summaries, marker, max_items, following)}

    def _distribution(self, document: Document) -> Output:
        config = filled(document["config"])
        deployed = self._control.deployed(document["revision"])
        return {
            "Id": document["id"],
            "ARN": f"arn:aws:cloudfront::{self._account}:distribution/{document['id']}",
            "Status": "Deployed" if deployed else "InProgress",
            "LastModifiedTime": document["modified"],
            "InProgressInvalidationBatches": sum(
                not self._control.deployed(each["revision"])
                for each in self._control.all("invalidation").values()
                if each["distribution"] == document["id"]
            ),
            "DomainName": document["domain"],
            "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
            "ActiveTrustedKeyGroups": self._active_groups(document["config"]),
            "DistributionConfig": config,
        }

    def _active_groups(self, config: Document) -> Output:
        """The key groups in use, with the public keys of each."""
        groups = sorted(trusted_groups(config))
        listed = [
            {"KeyGroupId": group, "KeyPairIds": {"Quantity": len(keys), "Items": keys}}
            for group in groups
            for keys in [self._control.all("key-group")[group]["config"]["Items"]]
        ]
        return {"Enabled": bool(groups), "Quantity": len(groups), **({"Items": listed} if listed else {})}
