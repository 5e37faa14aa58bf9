"""Which distributions use a policy, a web ACL; which have a name; and a name moved from one to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.configchecks import ALIAS
from littoral.edge.api.deployments import DeploymentOperations
from littoral.edge.api.parts import invalid, listing, page_of
from littoral.edge.api.policykinds import CACHE, ORIGIN_REQUEST, RESPONSE_HEADERS, PolicyKind, PolicyStore, uses
from littoral.edge.api.realtimelogs import RealtimeLogOperations, realtime_logs
from littoral.edge.api.shapes import summary
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

MOST_ALIASES = 100


class LookupOperations(DeploymentOperations, PolicyStore, RealtimeLogOperations):
    """Lists by what is used."""

    @operation()
    async def list_distributions_by_cache_policy_id(
        self, call: Call, *, cache_policy_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._by_policy(CACHE, cache_policy_id, marker, max_items)

    @operation()
    async def list_distributions_by_origin_request_policy_id(
        self, call: Call, *, origin_request_policy_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._by_policy(ORIGIN_REQUEST, origin_request_policy_id, marker, max_items)

    @operation()
    async def list_distributions_by_response_headers_policy_id(
        self, call: Call, *, response_headers_policy_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        return self._by_policy(RESPONSE_HEADERS, response_headers_policy_id, marker, max_items)

    @operation()
    async def list_distributions_by_web_acl_id(
        self, call: Call, *, web_acl_id: str, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        """``null`` lists those without a web ACL."""
        wanted = "" if web_acl_id == "null" else web_acl_id
        found = self._distributions_where(lambda config: (config.get("WebACLId") or "") == wanted)
        page, following = page_of(found, marker, max_items)
        summaries = [summary(self._distribution(document)) for document in page]
        return {"DistributionList": listing(summaries, marker, max_items, following)}

    @operation()
    async def list_distributions_by_realtime_log_config(
        self,
        call: Call,
        *,
        realtime_log_config_name: str | None = None,
        realtime_log_config_arn: str | None = None,
        marker: str | None = None,
        max_items: str | None = None,
    ) -> Output:
        try:
            arn = self._realtime(realtime_log_config_name, realtime_log_config_arn)["ARN"]
        except ServiceError as problem:
            raise invalid(problem.message) from problem
        found = self._distributions_where(lambda config: arn in realtime_logs(config))
        page, following = page_of(found, marker, max_items)
        summaries = [summary(self._distribution(document)) for document in page]
        return {"DistributionList": listing(summaries, marker, max_items, following)}

    def _by_policy(self, kind: PolicyKind, identifier: str, marker: str | None, max_items: str | None) -> Output:
        self._policy(kind, identifier)
        found = self._distributions_where(lambda config: uses(config, kind, identifier))
        page, following = page_of(found, marker, max_items)
        return {"DistributionIdList": listing([each["id"] for each in page], marker, max_items, following)}

    def _distributions_where(self, matches: Callable[[Document], bool]) -> dict[str, Document]:
        return {key: each for key, each in self._control.all("distribution").items() if matches(each["config"])}

    # ------------------------------------------------------------------------------------------- names

    @operation()
    async def list_conflicting_aliases(
        self,
        call: Call,
        *,
        distribution_id: str,
        alias: str,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Output:
        """The names that are or cover ``alias``, at other distributions."""
        self._found(distribution_id)
        check_alias(alias)
        found = {
            f"{name} {document['id']}": {"Alias": name, "DistributionId": document["id"], "AccountId": self._account}
            for document in self._control.all("distribution").values()
            for name in items(document["config"], "Aliases")
            if document["id"] != distribution_id and overlap(name.lower(), alias.lower())
        }
        page, following = page_of(found, marker, str(max_items) if max_items is not None else None)
        shown = listing(page, marker, str(max_items) if max_items is not None else None, following)
        kept = {name: value for name, value in shown.items() if name not in {"Marker", "IsTruncated"}}
        return {"ConflictingAliasesList": kept}

    @operation()
    async def associate_alias(self, call: Call, *, target_distribution_id: str, alias: str) -> Output:
        """Whoever has the name loses it, then it is the target's: two revisions, one right after the other."""
        check_alias(alias)
        async with self._control.changing:
            await self._move(call, self._found(target_distribution_id), alias)
        return {}

    async def _move(self, call: Call, target: Document, alias: str) -> Document:
        """The name to the target, as it is then. Within ``changing``."""
        names = items(target["config"], "Aliases")
        if alias.lower() in {name.lower() for name in names}:
            return target
        if len(names) >= MOST_ALIASES:
            message = f"A distribution may have at most {MOST_ALIASES} Aliases."
            raise ServiceError("TooManyDistributionCNAMEs", message, status=400)
        self._check_certificate(target["config"] | {"Aliases": {"Items": [alias]}})
        for document in list(self._control.all("distribution").values()):
            kept = [name for name in items(document["config"], "Aliases") if name.lower() != alias.lower()]
            if len(kept) != len(items(document["config"], "Aliases")):
                await self._rename(document, kept, call)
        return await self._rename(target, [*names, alias], call)

    async def _rename(self, document: Document, names: list[str], call: Call) -> Document:
        aliases: dict[str, Any] = {"Quantity": len(names), **({"Items": names} if names else {})}
        config = document["config"] | {"Aliases": aliases}
        changed = dict(document) | {"config": config, "etag": new_id(), "modified": call.now}
        await self._control.put("distribution", document["id"], changed)
        return changed


def check_alias(alias: str) -> None:
    """Raises InvalidArgument."""
    if not ALIAS.match(alias):
        raise invalid(f"{alias} is not a domain name that a distribution can have.")


def overlap(one: str, other: str) -> bool:
    """Whether two names, each perhaps with a wildcard on the left, have a host in common."""
    if one == other:
        return True
    return any(a.startswith("*.") and b.endswith(a[1:]) for a, b in ((one, other), (other, one)))
