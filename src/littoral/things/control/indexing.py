"""Fleet indexing: its configuration, searches, and numbers about what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.fleetquery import Query, QueryError, parse
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid, not_found
from littoral.things.indexing import Index, Membership, aggregating
from littoral.things.indexing.index import GROUPS, OFF, SETTING, THINGS

VERSION = "2017-09-30"
MAX_PAGE = 500
DEFAULT_PERCENTS = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)


class IndexNoun(Noun):
    """``index`` and ``membership`` are set when the API is composed."""

    index: Index
    membership: Membership

    def query(self, text: str, version: str = VERSION) -> Query:
        """Raises InvalidQueryException."""
        if version != VERSION:
            raise invalid(f"The query version {version!r} is not {VERSION}")
        try:
            return parse(text)
        except QueryError as problem:
            raise ServiceError("InvalidQueryException", str(problem), status=400) from None

    def ready(self, index: str) -> None:
        """Raises ResourceNotFoundException, IndexNotReadyException."""
        if index not in (THINGS, GROUPS):
            raise not_found(f"Index {index} does not exist.")
        if not self.index.ready(index):
            message = f"Index {index} is not ready: turn it on by UpdateIndexingConfiguration"
            raise ServiceError("IndexNotReadyException", message, status=400)


class Indexing(IndexNoun):
    @operation(
        notes="deviceDefenderIndexingMode, geoLocations and socket information are refused; "
        "managedFields are kept and told"
    )
    async def update_indexing_configuration(
        self,
        call: Call,
        *,
        thing_indexing_configuration: dict[str, Any] | None = None,
        thing_group_indexing_configuration: dict[str, Any] | None = None,
    ) -> Output:
        """In force on return. Every field can be searched and aggregated; a custom one's type says as what."""
        things = thing_indexing_configuration or self.index.of_things
        _refuse(things)
        if things.get("namedShadowIndexingMode") == "ON" and not things.get("filter", {}).get("namedShadowNames"):
            raise invalid("namedShadowIndexingMode ON needs filter.namedShadowNames")
        groups = thing_group_indexing_configuration or self.index.configuration["thingGroupIndexingConfiguration"]
        changed = {"thingIndexingConfiguration": things, "thingGroupIndexingConfiguration": groups}
        async with self.registry.changing:
            await self.registry.settings.put(SETTING, changed)
            await self.index.configure(changed)
        self.membership.touch()
        return {}

    @operation()
    async def get_indexing_configuration(self, call: Call) -> Output:
        return {**OFF, **self.index.configuration}

    @operation()
    async def list_indices(
        self, call: Call, *, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        found = [name for name in (GROUPS, THINGS) if self.index.ready(name)]
        names, token = pages.names(found, next_token, pages.size(max_results))
        return pages.with_token({"indexNames": names}, "nextToken", token)

    @operation()
    async def describe_index(self, call: Call, *, index_name: str) -> Output:
        if index_name not in (THINGS, GROUPS) or not self.index.ready(index_name):
            raise not_found(f"Index {index_name} does not exist.")
        schema = self.index.schema if index_name == THINGS else "THING_GROUP"
        return {"indexName": index_name, "indexStatus": "ACTIVE", "schema": schema}

    # -------------------------------------------------------------------------------------------- searching

    @operation()
    async def search_index(
        self,
        call: Call,
        *,
        query_string: str,
        index_name: str = THINGS,
        next_token: str | None = None,
        max_results: int | None = None,
        query_version: str = VERSION,
    ) -> Output:
        self.ready(index_name)
        query = self.query(query_string, query_version)
        start, limit = pages.after(next_token), pages.size(max_results, 100, MAX_PAGE)
        key = "thingName" if index_name == THINGS else "thingGroupName"
        documents = await self.index.search(index_name, query, start, limit + 1)
        found, token = pages.page(((one[key], one) for one in documents), limit)
        if index_name == THINGS:
            return pages.with_token({"things": [_thing(one) for one in found]}, "nextToken", token)
        return pages.with_token({"thingGroups": found}, "nextToken", token)

    @operation()
    async def get_thing_connectivity_data(
        self, call: Call, *, thing_name: str, include_socket_information: bool = False
    ) -> Output:
        """Where connections are indexed; a thing's client id is its name."""
        if include_socket_information:
            raise invalid("Socket information is not kept here")
        thing = self.thing(thing_name)
        self.ready(THINGS)
        if not self.index.connectivity:
            raise ServiceError("IndexNotReadyException", "The connectivity of things is not indexed", status=400)
        found = self.index.document(thing)["connectivity"]
        shown: Output = {"thingName": thing_name, "connected": found["connected"]}
        if "timestamp" in found:
            shown["timestamp"] = found["timestamp"] / 1000
        return {**shown, "disconnectReason": found["disconnectReason"]} if found.get("disconnectReason") else shown

    async def _values(self, index: str, text: str, version: str, field: str) -> list[Any]:
        self.ready(index)
        found = aggregating.values(await self.index.search(index, self.query(text, version)), field)
        return aggregating.typed(found, self.index.type_of(index, field))

    @operation()
    async def get_statistics(
        self,
        call: Call,
        *,
        query_string: str,
        index_name: str = THINGS,
        aggregation_field: str = "registry.version",
        query_version: str = VERSION,
    ) -> Output:
        values = await self._values(index_name, query_string, query_version, aggregation_field)
        return {"statistics": aggregating.statistics(values)}

    @operation()
    async def get_cardinality(
        self,
        call: Call,
        *,
        query_string: str,
        index_name: str = THINGS,
        aggregation_field: str = "registry.version",
        query_version: str = VERSION,
    ) -> Output:
        """Exact, where AWS estimates."""
        values = await self._values(index_name, query_string, query_version, aggregation_field)
        return {"cardinality": len(aggregating.buckets(values, len(values)))}

    @operation()
    async def get_percentiles(
        self,
        call: Call,
        *,
        query_string: str,
        index_name: str = THINGS,
        aggregation_field: str = "registry.version",
        query_version: str = VERSION,
        percents: Sequence[float] = DEFAULT_PERCENTS,
    ) -> Output:
        values = await self._values(index_name, query_string, query_version, aggregation_field)
        try:
            return {"percentiles": aggregating.percentiles(values, percents)}
        except ValueError as problem:
            raise ServiceError("InvalidAggregationException", f"{aggregation_field}: {problem}", status=400) from None

    @operation()
    async def get_buckets_aggregation(
        self,
        call: Call,
        *,
        query_string: str,
        aggregation_field: str,
        buckets_aggregation_type: dict[str, Any],
        index_name: str = THINGS,
        query_version: str = VERSION,
    ) -> Output:
        values = await self._values(index_name, query_string, query_version, aggregation_field)
        most = buckets_aggregation_type.get("termsAggregation", {}).get("maxBuckets", 10)
        return {"totalCount": len(values), "buckets": aggregating.buckets(values, most)}


def _refuse(things: dict[str, Any]) -> None:
    asked: list[tuple[str, Callable[[], bool]]] = [
        ("deviceDefenderIndexingMode", lambda: things.get("deviceDefenderIndexingMode", "OFF") != "OFF"),
        ("filter.geoLocations", lambda: bool(things.get("filter", {}).get("geoLocations"))),
        ("filter.connectivity", lambda: bool(things.get("filter", {}).get("connectivity"))),
    ]
    for name, there in asked:
        if there():
            raise ServiceError("NotImplemented", f"{name} is not implemented here.", status=501)


def _thing(document: dict[str, Any]) -> Output:
    shown = {name: value for name, value in document.items() if name != "registry"}
    return {**shown, "shadow": json.dumps(shown["shadow"])} if "shadow" in shown else shown
