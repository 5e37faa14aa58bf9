"""Public keys and key groups: whose signed URLs and cookies a distribution takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, invalid, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.edge.signing import UnusableKey, load_key
from littoral.store.documents import Document

MOST_KEYS, MOST_KEYS_IN_GROUP, MOST_GROUPS = 10, 5, 10  # "Quotas on key groups"


class KeyOperations(Operations):
    """Of both: create, get, update, delete, list."""

    # ---------------------------------------------------------------------------------------- public keys

    @operation()
    async def create_public_key(self, call: Call, *, public_key_config: dict[str, Any]) -> Output:
        """RSA of 2048 bits or ECDSA on P-256, in PEM."""
        try:
            load_key(public_key_config["EncodedKey"])
        except UnusableKey as problem:
            raise invalid(str(problem)) from problem
        async with self._control.changing:
            for each in self._control.all("public-key").values():
                config = each["config"]
                if config == plain(public_key_config):
                    return self._made_key(each, call)
                if public_key_config["Name"] == config["Name"] or (
                    public_key_config["CallerReference"] == config["CallerReference"]
                ):
                    raise ServiceError("PublicKeyAlreadyExists", "The specified public key already exists.", status=409)
            if len(self._control.all("public-key")) >= MOST_KEYS:
                raise ServiceError("TooManyPublicKeys", f"An account may have {MOST_KEYS} public keys.", status=400)
            identifier = new_id("K")
            document = {"id": identifier, "config": plain(public_key_config), "etag": new_id(), "created": call.now}
            await self._control.put("public-key", identifier, document)
            return self._made_key(document, call)

    def _made_key(self, document: Document, call: Call) -> Output:
        location = f"{call.base_url}/2020-05-31/public-key/{document['id']}"
        return {"PublicKey": _public_key(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_public_key(self, call: Call, *, id: str) -> Output:
        document = self._public_key(id)
        return {"PublicKey": _public_key(document), "ETag": document["etag"]}

    @operation()
    async def get_public_key_config(self, call: Call, *, id: str) -> Output:
        document = self._public_key(id)
        return {"PublicKeyConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_public_key(
        self, call: Call, *, id: str, public_key_config: dict[str, Any], if_match: str | None = None
    ) -> Output:
        """Only the comment may change."""
        async with self._control.changing:
            document = dict(self._public_key(id))
            match_etag(document, if_match)
            for name in ("CallerReference", "Name", "EncodedKey"):
                if public_key_config[name] != document["config"][name]:
                    message = f"You can't change the value of a public key: {name}."
                    raise ServiceError("CannotChangeImmutablePublicKeyFields", message, status=400)
            document |= {"config": plain(public_key_config), "etag": new_id()}
            await self._control.put("public-key", id, document)
            return {"PublicKey": _public_key(document), "ETag": document["etag"]}

    @operation()
    async def delete_public_key(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            match_etag(self._public_key(id), if_match)
            if any(id in each["config"]["Items"] for each in self._control.all("key-group").values()):
                raise ServiceError("PublicKeyInUse", "The specified public key is in use.", status=409)
            await self._control.delete("public-key", id)
            return {}

    @operation()
    async def list_public_keys(self, call: Call, *, marker: str | None = None, max_items: str | None = None) -> Output:
        page, following = page_of(self._control.all("public-key"), marker, max_items)
        listed = [{"Id": each["id"], "CreatedTime": each["created"], **_shown(each["config"])} for each in page]
        return {"PublicKeyList": _short(listing(listed, marker, max_items, following))}

    def _public_key(self, identifier: str) -> Document:
        document = self._control.get("public-key", identifier)
        if document is None:
            raise ServiceError("NoSuchPublicKey", "The specified public key doesn't exist.", status=404)
        return document

    # ----------------------------------------------------------------------------------------- key groups

    @operation()
    async def create_key_group(self, call: Call, *, key_group_config: dict[str, Any]) -> Output:
        async with self._control.changing:
            self._check_group(key_group_config, None)
            if len(self._control.all("key-group")) >= MOST_GROUPS:
                raise ServiceError("TooManyKeyGroups", f"An account may have {MOST_GROUPS} key groups.", status=400)
            identifier = new_id("K")
            document = {"id": identifier, "config": plain(key_group_config), "etag": new_id(), "modified": call.now}
            await self._control.put("key-group", identifier, document)
        location = f"{call.base_url}/2020-05-31/key-group/{identifier}"
        return {"KeyGroup": _key_group(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_key_group(self, call: Call, *, id: str) -> Output:
        document = self._key_group(id)
        return {"KeyGroup": _key_group(document), "ETag": document["etag"]}

    @operation()
    async def get_key_group_config(self, call: Call, *, id: str) -> Output:
        document = self._key_group(id)
        return {"KeyGroupConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_key_group(
        self, call: Call, *, key_group_config: dict[str, Any], id: str, if_match: str | None = None
    ) -> Output:
        async with self._control.changing:
            document = dict(self._key_group(id))
            match_etag(document, if_match)
            self._check_group(key_group_config, id)
            document |= {"config": plain(key_group_config), "etag": new_id(), "modified": call.now}
            await self._control.put("key-group", id, document)
            return {"KeyGroup": _key_group(document), "ETag": document["etag"]}

    @operation()
    async def delete_key_group(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            match_etag(self._key_group(id), if_match)
            if any(self._trusting(id)):
                raise ServiceError("ResourceInUse", "The key group is trusted by a distribution.", status=409)
            await self._control.delete("key-group", id)
            return {}

    @operation()
    async def list_key_groups(self, call: Call, *, marker: str | None = None, max_items: str | None = None) -> Output:
        page, following = page_of(self._control.all("key-group"), marker, max_items)
        listed = [{"KeyGroup": _key_group(each)} for each in page]
        return {"KeyGroupList": _short(listing(listed, marker, max_items, following))}

    @operation()
    async def list_distributions_by_key_group(
        self, call: Call, *, key_group_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        self._key_group(key_group_id)
        found = {document["id"]: document for document in self._trusting(key_group_id)}
        page, following = page_of(found, marker, max_items)
        listed: list[Any] = [each["id"] for each in page]
        return {"DistributionIdList": listing(listed, marker, max_items, following)}

    def _check_group(self, config: dict[str, Any], own: str | None) -> None:
        if len(config["Items"]) > MOST_KEYS_IN_GROUP:
            message = f"A key group may have at most {MOST_KEYS_IN_GROUP} public keys."
            raise ServiceError("TooManyPublicKeysInKeyGroup", message, status=400)
        if not config["Items"] or len(set(config["Items"])) != len(config["Items"]):
            raise invalid("A key group needs public keys, each of them once.")
        for key in config["Items"]:
            if self._control.get("public-key", key) is None:
                raise invalid(f"The public key {key} does not exist.")
        for each in self._control.all("key-group").values():
            if each["config"]["Name"] == config["Name"] and each["id"] != own:
                message = f"A key group named {config['Name']} exists."
                raise ServiceError("KeyGroupAlreadyExists", message, status=409)

    def _key_group(self, identifier: str) -> Document:
        document = self._control.get("key-group", identifier)
        if document is None:
            raise ServiceError("NoSuchResource", "The key group does not exist.", status=404)
        return document

    def _trusting(self, group: str) -> Iterator[Document]:
        """Distributions with a behaviour that trusts the key group."""
        for document in self._control.all("distribution").values():
            if group in trusted_groups(document["config"]):
                yield document


def trusted_groups(config: Document) -> set[str]:
    """The key groups that a distribution's behaviours trust."""
    behaviours = [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]
    return {group for behaviour in behaviours for group in items(behaviour, "TrustedKeyGroups")}


def _public_key(document: Document) -> Output:
    return {"Id": document["id"], "CreatedTime": document["created"], "PublicKeyConfig": document["config"]}


def _shown(config: Document) -> Output:
    return {name: config[name] for name in ("Name", "EncodedKey", "Comment") if name in config}


def _key_group(document: Document) -> Output:
    return {"Id": document["id"], "LastModifiedTime": document["modified"], "KeyGroupConfig": document["config"]}


def _short(page: Output) -> Output:
    """These lists say neither where they began nor whether they end."""
    return {name: value for name, value in page.items() if name not in {"Marker", "IsTruncated"}}
