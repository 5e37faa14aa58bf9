"""Origin groups: when the primary's answer sends a request to the secondary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.edge.plan.document import Document, items
from littoral.edge.plan.origin import Origin

FAILS_OVER = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class Failover:
    """The primary is always asked first; it fails by these statuses, by no connection, or by no answer in time."""

    statuses: frozenset[int]
    secondary: Origin


def failovers_of(config: Document, origins: Mapping[str, Origin]) -> dict[str, tuple[Origin, Failover]]:
    """Origin groups by id: the primary, and what comes when it fails."""
    found = {}
    for group in items(config, "OriginGroups"):
        primary, secondary = (origins[member["OriginId"]] for member in items(group, "Members"))
        statuses = frozenset(int(status) for status in items(group["FailoverCriteria"], "StatusCodes"))
        found[group["Id"]] = (primary, Failover(statuses, secondary))
    return found
