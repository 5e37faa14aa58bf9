"""What other locations ask this one, which is the shield of an origin (``tier`` is the language in which they ask).

Owns: whom this location listens to as a shield, and the answer. The asking location has looked at its own viewer, so
no firewall, no log and no viewer function has a say here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from littoral.edge import answer
from littoral.edge.plan import Plan
from littoral.edge.serving import Serving
from littoral.edge.tier import HEADER, NotTrusted, Tier, inner
from littoral.edge.triggers import About, EdgeRequest
from littoral.edge.visit import EdgeFailure, Visit
from littoral.net.message import Headers, Request, Response


class Shielding:
    """``plan_of`` finds the distribution by the Host of a request, a staging one too."""

    def __init__(self, tier: Tier, serving: Serving, plan_of: Callable[[Request], Plan | None]) -> None:
        self._tier = tier
        self._serving = serving
        self._plan_of = plan_of
        self.active = False  # other locations ask this one

    def use(self, plans: Mapping[str, Plan]) -> None:
        origins = (origin for plan in plans.values() for origin in plan.origins.values())
        self.active = any(self._tier.is_shield(origin.shield) for origin in origins)

    def is_location(self, address: str) -> bool:
        """Whether another location asks from there, whose shield this one is."""
        return self.active and address in self._tier.hosts

    async def answer(self, request: Request) -> Response:
        try:
            asking = self._tier.asked(request)
        except NotTrusted as problem:
            return self._serving.refuse(403, "Forbidden", f"{problem}.")
        plan = self._plan_of(request)
        behaviours = [each for each in plan.behaviours if each.pattern == asking.behaviour] if plan is not None else []
        if plan is None or not behaviours or self._tier.behind(asking):
            return self._serving.refuse(
                503, "Service Unavailable", "This location does not serve by that revision yet."
            )
        viewer = inner(request, asking)
        path, _, query = viewer.target.partition("?")
        made = EdgeRequest(viewer.method, path, query, Headers(list(viewer.headers.raw)), asking.address)
        about = About(plan.domain, plan.id, answer.request_id())
        visit = Visit(viewer, plan, behaviours[0], made, about, inner=True)
        try:
            response = await self._serving.respond(visit, await self._serving.find(visit))
        except EdgeFailure as failure:
            response = self._serving.failed(failure)
        response.headers.set(HEADER, "1")
        return response
