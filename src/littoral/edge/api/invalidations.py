"""Invalidations: completed when every edge location has dropped the paths."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, listing, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

LONGEST_TAG = 256  # characters
MOST_PATHS, MOST_WILDCARDS = 3000, 15  # in progress at once ("Quotas on invalidations")


def _valid(item: str) -> bool:
    """A path with ``*`` at its end at most, or ``#`` and a cache tag ("… when invalidating tags")."""
    if item.startswith("#"):
        tag = item[1:]
        return 1 <= len(tag) <= LONGEST_TAG and all("!" <= letter <= "~" and letter not in ",*" for letter in tag)
    return item.startswith("/") and "*" not in item[:-1]


class InvalidationOperations(Operations):
    """Create, get, list."""

    @operation()
    async def create_invalidation(
        self, call: Call, *, distribution_id: str, invalidation_batch: dict[str, Any]
    ) -> Output:
        """Completed once every edge location has dropped the paths, and what has the tags (``#tag``)."""
        async with self._control.changing:
            self._found(distribution_id)
            paths = items(invalidation_batch, "Paths")
            if not paths or not all(_valid(path) for path in paths):
                message = "Your request contains one or more invalid invalidation paths."
                raise ServiceError("InvalidArgument", message, status=400)
            for key, each in self._control.all("invalidation").items():
                same = each["distribution"] == distribution_id
                if same and each["batch"]["CallerReference"] == invalidation_batch["CallerReference"]:
                    if each["batch"] != plain(invalidation_batch):
                        message = "The caller reference was already used with another batch."
                        raise ServiceError("InvalidArgument", message, status=400)
                    return {"Invalidation": self._invalidation(key, each)}
            self._check_room(paths)
            identifier = new_id("I")
            document = {"distribution": distribution_id, "batch": plain(invalidation_batch), "created": call.now}
            await self._control.put("invalidation", identifier, document)
            location = f"{call.base_url}/2020-05-31/distribution/{distribution_id}/invalidation/{identifier}"
            return {"Location": location, "Invalidation": self._invalidation(identifier, document)}

    @operation()
    async def get_invalidation(self, call: Call, *, distribution_id: str, id: str) -> Output:
        self._found(distribution_id)
        document = self._control.get("invalidation", id)
        if document is None or document["distribution"] != distribution_id:
            raise ServiceError("NoSuchInvalidation", "The specified invalidation does not exist.", status=404)
        return {"Invalidation": self._invalidation(id, document)}

    @operation()
    async def list_invalidations(
        self, call: Call, *, distribution_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        self._found(distribution_id)
        mine = {
            key: {**each, "id": key}
            for key, each in self._control.all("invalidation").items()
            if each["distribution"] == distribution_id
        }
        page, following = page_of(mine, marker, max_items)
        summaries = [
            {"Id": each["id"], "CreateTime": each["created"], "Status": self._invalidation_status(each)}
            for each in page
        ]
        return {"InvalidationList": listing(summaries, marker, max_items, following)}

    def _check_room(self, paths: list[str]) -> None:
        waiting = list(paths)
        for each in self._control.all("invalidation").values():
            if not self._control.deployed(each["revision"]):
                waiting += items(each["batch"], "Paths")
        if len(waiting) > MOST_PATHS or sum(path.endswith("*") for path in waiting) > MOST_WILDCARDS:
            message = "You have exceeded the maximum number of allowable InProgress invalidation requests."
            raise ServiceError("TooManyInvalidationsInProgress", message, status=400)

    def _invalidation(self, identifier: str, document: Document) -> Output:
        return {
            "Id": identifier,
            "Status": self._invalidation_status(document),
            "CreateTime": document["created"],
            "InvalidationBatch": document["batch"],
        }

    def _invalidation_status(self, document: Document) -> str:
        return "Completed" if self._control.deployed(document["revision"]) else "InProgress"
