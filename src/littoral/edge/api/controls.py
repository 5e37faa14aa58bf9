"""Origin access controls: how the edge signs to S3 and to function URLs."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

MOST = 100  # "Quotas": origin access controls per account


class ControlOperations(Operations):
    """Access controls for S3 origins and function URLs."""

    @operation()
    async def create_origin_access_control(self, call: Call, *, origin_access_control_config: dict[str, Any]) -> Output:
        config = origin_access_control_config
        check_control(config)
        async with self._control.changing:
            self._check_control_name(config["Name"], None)
            if len(self._control.all("access-control")) >= MOST:
                message = f"There are {MOST} origin access controls already."
                raise ServiceError("TooManyOriginAccessControls", message, status=400)
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
    async def get_origin_access_control_config(self, call: Call, *, id: str) -> Output:
        document = self._access_control(id)
        return {"OriginAccessControlConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_origin_access_control(
        self, call: Call, *, id: str, origin_access_control_config: dict[str, Any], if_match: str | None = None
    ) -> Output:
        config = plain(origin_access_control_config)
        check_control(config)
        async with self._control.changing:
            document = dict(self._access_control(id))
            match_etag(document, if_match)
            if config["OriginAccessControlOriginType"] != document["config"]["OriginAccessControlOriginType"]:
                raise ServiceError("IllegalUpdate", "The origin type may not be changed.", status=400)
            self._check_control_name(config["Name"], id)
            document |= {"config": config, "etag": new_id()}
            await self._control.put("access-control", id, document)
        return {"OriginAccessControl": {"Id": id, "OriginAccessControlConfig": config}, "ETag": document["etag"]}

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

    def _check_control_name(self, name: str, own: str | None) -> None:
        named = {key for key, each in self._control.all("access-control").items() if each["config"]["Name"] == name}
        if named - {own}:
            message = f"An origin access control named {name} exists."
            raise ServiceError("OriginAccessControlAlreadyExists", message, status=409)

    def _access_control(self, identifier: str) -> Document:
        document = self._control.get("access-control", identifier)
        if document is None:
            raise ServiceError("NoSuchOriginAccessControl", "The origin access control does not exist.", status=404)
        return document


def check_control(config: dict[str, Any]) -> None:
    """Raises NotImplemented for origins that are neither S3 nor function URLs, and for signatures that nobody makes."""
    kind = config["OriginAccessControlOriginType"]
    if kind not in {"s3", "lambda"}:
        raise ServiceError("NotImplemented", f"Access controls for {kind} are not implemented here.", status=501)
    for name, known in (("SigningProtocol", {"sigv4"}), ("SigningBehavior", {"always", "never", "no-override"})):
        if config[name] not in known:
            raise ServiceError("NotImplemented", f"{name} {config[name]} is not implemented here.", status=501)
