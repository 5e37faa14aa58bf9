"""Key-value stores: making and naming them here (CloudFront's API), their items in ``edge.keyvalue``.

A store's document holds all its items: an update of many keys is one write, or none.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.functions import DEVELOPMENT, LIVE, stores_of
from littoral.edge.api.parts import Operations, invalid, listing, match_etag, page_of
from littoral.edge.control import new_id
from littoral.store.documents import Document

NAME = re.compile(r"^[a-zA-Z0-9-_]{1,64}$")
SOURCE = re.compile(r"^arn:aws:s3:::(?P<bucket>[^/]+)/(?P<key>.+)$")
MOST_STORES = 50
MAX_KEY, MAX_VALUE, MAX_STORE = 512, 1024, 5 * 1024 * 1024  # bytes ("Quotas on key value stores")


class KeyValueStoreOperations(Operations):
    """Create, describe, update, list, delete."""

    @operation()
    async def create_key_value_store(
        self,
        call: Call,
        *,
        name: str,
        comment: str | None = None,
        import_source: dict[str, Any] | None = None,
    ) -> Output:
        """READY when it returns, with what was imported."""
        if not NAME.match(name):
            raise invalid("The name has 1 to 64 letters, digits, - or _.")
        imported = await self._import(import_source) if import_source else {}
        async with self._control.changing:
            if self._store_named(name) is not None:
                raise ServiceError("EntityAlreadyExists", f"A key value store named {name} exists.", status=409)
            if len(self._control.all("key-value-store")) >= MOST_STORES:
                message = f"An account may have {MOST_STORES} key value stores."
                raise ServiceError("EntityLimitExceeded", message, status=400)
            identifier = str(uuid.uuid4())
            document = {
                "id": identifier,
                "name": name,
                "arn": f"arn:aws:cloudfront::{self._account}:key-value-store/{identifier}",
                "comment": comment,
                "etag": new_id(),
                "data_etag": new_id("K"),
                "created": call.now,
                "modified": call.now,
                "data_modified": call.now,
                "items": imported,
            }
            await self._control.put("key-value-store", identifier, document)
        location = f"{call.base_url}/2020-05-31/key-value-store/{name}"
        return {"KeyValueStore": _shown(document), "ETag": document["etag"], "Location": location}

    async def _import(self, source: Mapping[str, Any]) -> dict[str, str]:
        found = SOURCE.match(source["SourceARN"])
        if found is None or self.objects is None:
            raise invalid("SourceARN must be that of an S3 object.")
        try:
            listed = json.loads(await self.objects.read(found["bucket"], found["key"]))["data"]
            pairs = {each["key"]: each["value"] for each in listed}
        except ServiceError as problem:
            raise invalid(f"The import source cannot be read: {problem.message}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise invalid('The import source must be JSON: {"data": [{"key": "…", "value": "…"}]}.') from problem
        if len(pairs) != len(listed):
            raise invalid("A key is there twice in the import source.")
        problem_text = what_is_wrong(pairs)
        if problem_text is not None:
            raise invalid(problem_text)
        return pairs

    @operation()
    async def describe_key_value_store(self, call: Call, *, name: str) -> Output:
        document = self._store(name)
        return {"KeyValueStore": _shown(document), "ETag": document["etag"]}

    @operation()
    async def update_key_value_store(self, call: Call, *, name: str, comment: str, if_match: str) -> Output:
        async with self._control.changing:
            document = dict(self._store(name))
            match_etag(document, if_match)
            document |= {"comment": comment, "etag": new_id(), "modified": call.now}
            await self._control.put("key-value-store", document["id"], document, deploy=False)
            return {"KeyValueStore": _shown(document), "ETag": document["etag"]}

    @operation()
    async def delete_key_value_store(self, call: Call, *, name: str, if_match: str) -> Output:
        async with self._control.changing:
            document = self._store(name)
            match_etag(document, if_match)
            for function in self._control.all("function").values():
                for stage in (DEVELOPMENT, LIVE):
                    if function[stage] is not None and document["id"] in stores_of(function[stage]["config"]):
                        message = f"The key value store is used by the function {function['name']}."
                        raise ServiceError("CannotDeleteEntityWhileInUse", message, status=409)
            await self._control.delete("key-value-store", document["id"])
            return {}

    @operation()
    async def list_key_value_stores(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None, status: str | None = None
    ) -> Output:
        by_name = {each["name"]: each for each in self._control.all("key-value-store").values()}
        page, following = page_of(by_name if status in {None, "READY"} else {}, marker, max_items)
        listed = listing([_shown(each) for each in page], marker, max_items, following)
        return {"KeyValueStoreList": {k: value for k, value in listed.items() if k not in {"Marker", "IsTruncated"}}}

    def _store_named(self, name: str) -> Document | None:
        return next((each for each in self._control.all("key-value-store").values() if each["name"] == name), None)

    def _store(self, name: str) -> Document:
        document = self._store_named(name)
        if document is None:
            raise ServiceError("EntityNotFound", "The key value store was not found.", status=404)
        return document


def what_is_wrong(pairs: Mapping[Any, Any]) -> str | None:
    """Why these may not be a store's items; None when they may."""
    for key, value in pairs.items():
        if not isinstance(key, str) or not isinstance(value, str):
            return "Keys and values must be text."
        if not 0 < len(key.encode()) <= MAX_KEY:
            return f"A key has 1 to {MAX_KEY} bytes."
        if len(value.encode()) > MAX_VALUE:
            return f"A value may have at most {MAX_VALUE} bytes."
    if size_of(pairs) > MAX_STORE:
        return f"A key value store may have at most {MAX_STORE} bytes."
    return None


def size_of(pairs: Mapping[str, str]) -> int:
    """Bytes of all keys and values."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in pairs.items())


def _shown(document: Document) -> Output:
    return {
        "Name": document["name"],
        "Id": document["id"],
        **({} if document["comment"] is None else {"Comment": document["comment"]}),  # as on AWS: else Terraform errs
        "ARN": document["arn"],
        "Status": "READY",
        "LastModifiedTime": document["modified"],
    }
