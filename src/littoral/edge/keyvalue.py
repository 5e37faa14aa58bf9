"""The items of key-value stores: botocore's service "cloudfront-keyvaluestore" (2022-07-26).

Every write is compared with the store's data ETag (``IfMatch``), is one durable change however many keys it has, and
reaches the edge locations with the next revision.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from littoral.aws.service import Call, Output, ServiceError, modelled, operation
from littoral.edge.api.keyvaluestores import size_of, what_is_wrong
from littoral.edge.control import Control, new_id
from littoral.store.documents import Document

MOST_IN_ONE_CALL = 50
PAGE = 10, 50  # keys on a page of ListKeys: unless said otherwise, at most


class KeyValueStoreData:
    """Describe, get, list, put, delete, update."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @operation()
    async def describe_key_value_store(self, call: Call, *, kvs_arn: str) -> Output:
        document = self._store(kvs_arn)
        return {
            "KvsARN": document["arn"],
            "ItemCount": len(document["items"]),
            "TotalSizeInBytes": size_of(document["items"]),
            "Created": document["created"],
            "LastModified": document["data_modified"],
            "Status": "READY",
            "ETag": document["data_etag"],
        }

    @operation()
    async def get_key(self, call: Call, *, kvs_arn: str, key: str) -> Output:
        document = self._store(kvs_arn)
        value = document["items"].get(key)
        if value is None:
            raise ServiceError("ResourceNotFoundException", f"Key {key} does not exist.", status=404)
        return {"Key": key, "Value": value, **_size(document)}

    @operation()
    async def list_keys(
        self, call: Call, *, kvs_arn: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        document = self._store(kvs_arn)
        count = PAGE[0] if max_results is None else max_results
        if not 1 <= count <= PAGE[1]:
            raise _invalid(f"MaxResults is 1 to {PAGE[1]}.")
        after = _after(next_token)
        keys = [key for key in sorted(document["items"]) if after is None or key > after]
        page: Output = {"Items": [{"Key": key, "Value": document["items"][key]} for key in keys[:count]]}
        if len(keys) > count:
            page["NextToken"] = base64.urlsafe_b64encode(keys[count - 1].encode()).decode()
        return page

    @operation()
    async def put_key(self, call: Call, *, key: str, value: str, kvs_arn: str, if_match: str) -> Output:
        return await self._change(call, kvs_arn, if_match, lambda found: found.update({key: value}))

    @operation()
    async def delete_key(self, call: Call, *, kvs_arn: str, key: str, if_match: str) -> Output:
        return await self._change(call, kvs_arn, if_match, lambda found: _remove(found, key))

    @operation()
    async def update_keys(
        self,
        call: Call,
        *,
        kvs_arn: str,
        if_match: str,
        puts: list[Mapping[str, str]] | None = None,
        deletes: list[Mapping[str, str]] | None = None,
    ) -> Output:
        """All of it, or none."""
        named = [each["Key"] for each in (*(puts or ()), *(deletes or ()))]
        if not 0 < len(named) <= MOST_IN_ONE_CALL or len(set(named)) != len(named):
            raise _invalid(f"An update has 1 to {MOST_IN_ONE_CALL} keys, each of them once.")

        def change(found: dict[str, str]) -> None:
            for each in deletes or ():
                _remove(found, each["Key"])
            found.update({each["Key"]: each["Value"] for each in puts or ()})

        return await self._change(call, kvs_arn, if_match, change)

    async def _change(self, call: Call, arn: str, if_match: str, change: Callable[[dict[str, str]], Any]) -> Output:
        async with self._control.changing:
            document = dict(self._store(arn))
            if if_match != document["data_etag"]:
                raise ServiceError("ConflictException", "The ETag in If-Match is not the store's.", status=409)
            found = dict(document["items"])
            change(found)
            problem = what_is_wrong(found)
            if problem is not None:
                full = "A key value store" in problem
                raise ServiceError(
                    "ServiceQuotaExceededException" if full else "ValidationException",
                    problem,
                    status=402 if full else 400,
                )
            document |= {"items": found, "data_etag": new_id("K"), "data_modified": call.now}
            await self._control.put("key-value-store", document["id"], document)
            return {**_size(document), "ETag": document["data_etag"]}

    def _store(self, arn: str) -> Document:
        document = self._control.get("key-value-store", unquote(arn).rpartition("/")[2])
        if document is None or document["arn"] != unquote(arn):
            raise ServiceError("ResourceNotFoundException", "The key value store does not exist.", status=404)
        return document


def _remove(found: dict[str, str], key: str) -> None:
    if found.pop(key, None) is None:
        raise ServiceError("ResourceNotFoundException", f"Key {key} does not exist.", status=404)


def _size(document: Document) -> Output:
    return {"ItemCount": len(document["items"]), "TotalSizeInBytes": size_of(document["items"])}


def _after(token: str | None) -> str | None:
    if token is None:
        return None
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError as problem:
        raise _invalid("NextToken is not one of ours.") from problem


_invalid = modelled("ValidationException")
