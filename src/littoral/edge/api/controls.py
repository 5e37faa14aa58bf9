"""Origin access controls, and tags of distributions."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document


class ControlOperations(Operations):
    """Access controls for S3 origins."""

    @operation()
    async def create_origin_access_control(self, call: Call, *, origin_access_control_config: dict[str, Any]) -> Output:
        config = origin_access_control_config
        if config["OriginAccessControlOriginType"] != "s3":
            kind = config["OriginAccessControlOriginType"]
            raise ServiceError("NotImplemented", f"Access controls for {kind} are not implemented here.", status=501)
        async with self._control.changing:
            if any(each["config"]["Name"] == config["Name"] for each in self._control.all("access-control").values()):
                message = f"An origin access control named {config['Name']} exists."
                raise ServiceError("OriginAccessControlAlreadyExists", message, status=409)
            identifier = new_id()
            document = {"id": identifier, "config": plain(config), "etag": new_id()}
            await self._control.put("access-control", identifier, document)
        found = {"Id": identifier, "OriginAccessControlConfig": document["config"]}
        location = f"{call.base_url}/2020-05-31/origin-access-control/{identifier}"
        return {"OriginAccessControl": found, "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_origin_access_control(self, call: Call, *, id: str) -> Output:
        document = self._access_control(id)
        found = {"Id": id, "OriginAccessControlConfig": document["config"]}
        return {"OriginAccessControl": found, "ETag": document["etag"]}

    @operation()
    async def list_origin_access_controls(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = page_of(self._control.all("access-control"), marker, max_items)
        listed = [{"Id": each["id"], "Description": "", **each["config"]} for each in page]
        return {"OriginAccessControlList": listing(listed, marker, max_items, following)}

    @operation()
    async def delete_origin_access_control(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            match_etag(self._access_control(id), if_match)
            for distribution in self._control.all("distribution").values():
                if any(item.get("OriginAccessControlId") == id for item in items(distribution["config"], "Origins")):
                    message = f"The origin access control is used by {distribution['id']}."
                    raise ServiceError("OriginAccessControlInUse", message, status=409)
            await self._control.delete("access-control", id)
            return {}

    def _access_control(self, identifier: str) -> Document:
        document = self._control.get("access-control", identifier)
        if document is None:
            raise ServiceError("NoSuchOriginAccessControl", "The origin access control does not exist.", status=404)
        return document


class TagOperations(Operations):
    """Tags are kept and shown; nothing is decided by them."""

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource: str) -> Output:
        document = self._control.get("tags", self._tagged(resource))
        return {"Tags": {"Items": document["tags"] if document else []}}

    @operation()
    async def tag_resource(self, call: Call, *, resource: str, tags: dict[str, Any]) -> Output:
        identifier = self._tagged(resource)
        async with self._control.changing:
            document = self._control.get("tags", identifier) or {"tags": []}
            new = list(tags.get("Items") or ())
            names = {tag["Key"] for tag in new}
            kept = [tag for tag in document["tags"] if tag["Key"] not in names]
            await self._control.put("tags", identifier, {"tags": kept + new}, deploy=False)
        return {}

    def _tagged(self, resource: str) -> str:
        identifier = resource.rpartition("/")[2]
        if self._control.get("distribution", identifier) is None:
            raise ServiceError("NoSuchResource", "The resource does not exist.", status=404)
        return identifier
