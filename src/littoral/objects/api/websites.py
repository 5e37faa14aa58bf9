"""A bucket's website: its configuration, and what a visitor gets."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote, unquote

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.objects.api.reading import ReadOperations
from littoral.objects.errors import error
from littoral.objects.website import Redirect, Website, checked


class WebsiteOperations(ReadOperations):
    @operation(harmless={"ContentMD5", "ChecksumAlgorithm"})
    async def put_bucket_website(
        self,
        call: Call,
        *,
        bucket: str,
        website_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "website", checked(website_configuration))
        return {}

    @operation()
    async def get_bucket_website(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        return dict(json.loads(self._configured(bucket)))

    @operation()
    async def delete_bucket_website(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "website", None)
        return {}

    async def website(self, call: Call, bucket: str, path: str) -> Output:
        """What is at this path (raw, with its first slash) for a visitor. Raises ServiceError."""
        site = Website.load(self._configured(bucket))
        asked = unquote(path[1:])
        if site.everything is not None:
            return _sent(site.everything, call, asked)
        key = site.key_of(asked)
        if (found := site.redirect(key)) is not None:
            return _sent(found[0], call, key, found[1])
        try:
            return await self._visited(call, bucket, key)
        except ServiceError as problem:
            status = problem.status or 500
            if status < 400:
                raise
            # who may not list is told 403 of what is not there, and is shown the way all the same
            nothing = status in (403, 404) and key == asked and self._index.find(bucket, key) is None
            if nothing and self._there(call, bucket, site.key_of(f"{asked}/")):
                return _moved(f"/{quote(asked)}/", 302)
            if (found := site.redirect(key, status)) is not None:
                return _sent(found[0], call, key, found[1])
            if site.error is None:
                raise
            return await self._instead(call, bucket, site.error, problem)

    def _configured(self, bucket: str) -> str:
        """Raises NoSuchBucket, NoSuchWebsiteConfiguration."""
        kept = self._index.bucket(bucket).website
        if kept is None:
            message = "The specified bucket does not have a website configuration"
            raise error("NoSuchWebsiteConfiguration", message, BucketName=bucket)
        return kept

    async def _visited(self, call: Call, bucket: str, key: str) -> Output:
        self._gate.admit(call, {"Bucket": bucket, "Key": key})
        headers = call.request.headers
        read = self.head_object if call.operation == "HeadObject" else self.get_object
        reading: Output | Awaitable[Output] = read(
            call, bucket=bucket, key=key, range=headers.get("range"), if_none_match=headers.get("if-none-match")
        )
        output = await reading if isinstance(reading, Awaitable) else reading
        elsewhere = output.pop("WebsiteRedirectLocation", None)
        return output if elsewhere is None else _moved(elsewhere, 301)

    def _there(self, call: Call, bucket: str, key: str) -> bool:
        """Whether this visitor may see that object."""
        try:
            self._gate.admit(call, {"Bucket": bucket, "Key": key})
            self._index.get(bucket, key)
        except ServiceError:
            return False
        return True

    async def _instead(self, call: Call, bucket: str, key: str, problem: ServiceError) -> Output:
        """The page for errors, with the error's status."""
        try:
            output = await self._visited(call, bucket, key)
        except ServiceError:
            raise problem from None
        return output | {"ResponseMetadata": {"HTTPStatusCode": problem.status or 500}}


def _sent(redirect: Redirect, call: Call, path: str, matched: str = "") -> Output:
    return _moved(redirect.location(call.base_url, quote(path), quote(matched)), redirect.code)


def _moved(location: str, status: int) -> Output:
    return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"location": location}, "HTTPBody": b""}}
