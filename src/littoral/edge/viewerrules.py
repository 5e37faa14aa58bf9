"""Whom a distribution serves at all: where the viewer is, and through how many distributions it came. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from littoral.edge.plan import Plan
from littoral.net.message import Headers

T = TypeVar("T")
MOST_CHAINED = 2  # distributions that one request may go through
MARK = "(CloudFront)"  # in the Via of a request that another distribution sent


def refusal(plan: Plan, headers: Headers, country: str) -> str | None:
    """Why this viewer gets 403, or None. ``country`` is "" where it is not known."""
    if plan.restriction is not None and plan.restriction.forbids(country):
        return "The distribution is configured to block access from your country."
    if chained(headers) >= MOST_CHAINED:
        return f"The request came through {MOST_CHAINED} distributions already."
    return None


def chained(headers: Headers) -> int:
    """How many distributions the request came through by now."""
    return sum(line.count(MARK) for line in headers.get_all("via"))


def named(names: Mapping[str, T], host: str) -> T | None:
    """What stands under the name that a request's host leads to; that there is nothing may stand there, too."""
    if host in names or (host := host.partition(":")[0].lower()) in names:
        return names[host]
    while "." in host:
        host = host.partition(".")[2]
        if "*." + host in names:
            return names["*." + host]
    return None


def named_by_wildcard(plans: Mapping[str, T], host: str) -> T | None:
    """``*.example.org`` is for every name below, however deep; the longest that there is counts."""
    while "." in host:
        host = host.partition(".")[2]
        found = plans.get("*." + host)
        if found is not None:
            return found
    return None
