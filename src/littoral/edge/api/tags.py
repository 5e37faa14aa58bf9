"""Tags of distributions. They are kept and shown; nothing is decided by them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations

MOST = 50  # "Tag a distribution"
ARN = re.compile(r"^arn:aws:cloudfront::(?P<account>\d{12}):(?P<kind>[a-z-]+)/(?P<id>[A-Za-z0-9]+)$")


class TagOperations(Operations):
    """Tag, untag, list."""

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource: str) -> Output:
        document = self._control.get("tags", self._tagged(resource))
        return {"Tags": {"Items": document["tags"] if document else []}}

    @operation()
    async def tag_resource(self, call: Call, *, resource: str, tags: dict[str, Any]) -> Output:
        identifier = self._tagged(resource)
        new = list(tags.get("Items") or ())
        check_tags(new)
        async with self._control.changing:
            document = self._control.get("tags", identifier) or {"tags": []}
            names = {tag["Key"] for tag in new}
            kept = [tag for tag in document["tags"] if tag["Key"] not in names] + new
            check_tags(kept)
            await self._control.put("tags", identifier, {"tags": kept}, deploy=False)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource: str, tag_keys: dict[str, Any]) -> Output:
        identifier = self._tagged(resource)
        gone = set(tag_keys.get("Items") or ())
        async with self._control.changing:
            document = self._control.get("tags", identifier) or {"tags": []}
            kept = [tag for tag in document["tags"] if tag["Key"] not in gone]
            await self._control.put("tags", identifier, {"tags": kept}, deploy=False)
        return {}

    def _tagged(self, resource: str) -> str:
        found = ARN.match(resource)
        if found is None:
            raise ServiceError("InvalidArgument", f"{resource} is not the ARN of a CloudFront resource.", status=400)
        known = found["account"] == self._account and found["kind"] == "distribution"
        if not known or self._control.get("distribution", found["id"]) is None:
            raise ServiceError("NoSuchResource", "The resource does not exist.", status=404)
        return found["id"]


def check_tags(tags: Sequence[Mapping[str, Any]]) -> None:
    """Raises InvalidTagging."""
    names = [tag["Key"] for tag in tags]
    if len(names) != len(set(names)):
        raise ServiceError("InvalidTagging", "A tag key is there twice.", status=400)
    if len(names) > MOST:
        raise ServiceError("InvalidTagging", f"A distribution has at most {MOST} tags.", status=400)
    if any(name.lower().startswith("aws:") for name in names):
        raise ServiceError("InvalidTagging", "Tag keys that begin with aws: are AWS's own.", status=400)
