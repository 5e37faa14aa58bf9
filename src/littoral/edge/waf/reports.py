"""What edge locations tell the region of their firewalls, and where it goes: samples, log records, held-back keys.

    GET  /_littoral/waf/ruleset/<sha256>   → {"REQUEST-901-….conf": "…", …}, which managed rule groups are made of
    POST /_littoral/waf/report {"location": "pop1", "samples": […], "logs": […], "blocked": […] | null, "attack": {…}}

An attack is what the guard saw (``edge.ddos``), where there is news of one.
Signed, as the feed is. Log records are delivered in the order of a location's reports; a destination that fails loses
the batch, which is said in the place's log: WAF logs are no ledger, at AWS neither.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from littoral.aws.service import Principal, ServiceError
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.sampling import Samples
from littoral.net.message import Handler, Headers, Request, Response, json_response

log = logging.getLogger("littoral.edge")

PREFIX = "/_littoral/waf/"
MOST_BYTES = 32 * 1024 * 1024
REPORTED = 30.0  # seconds for which a location's list of keys counts


class Deliver(Protocol):
    async def deliver(self, arn: str, records: list[dict[str, Any]]) -> None: ...


class Attacks(Protocol):
    async def take(self, location: str, told: dict[str, Any], now: float) -> None: ...


class Reports:
    """The region's side."""

    def __init__(
        self,
        destinations: Deliver | None = None,
        clock: Callable[[], float] = time.time,
        attacks: Attacks | None = None,
    ) -> None:
        self.samples = Samples()
        self._attacks = attacks
        self._destinations = destinations
        self._clock = clock
        self._blocked: dict[str, tuple[float, list[dict[str, Any]]]] = {}  # by location

    async def take(self, report: dict[str, Any]) -> None:
        """Raises KeyError, ValueError, TypeError for what is no report."""
        now = self._clock()
        for each in report["samples"]:
            self.samples.add(each, now)
        if report.get("blocked") is not None:
            self._blocked[str(report["location"])] = now, list(report["blocked"])
        if report.get("attack") is not None and self._attacks is not None:
            await self._attacks.take(str(report["location"]), report["attack"], now)
        by_destination: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for each in report["logs"]:
            for destination in each["to"]:
                by_destination[str(destination)].append(each["record"])
        for destination, records in by_destination.items():
            await self._deliver(destination, records)

    async def _deliver(self, destination: str, records: list[dict[str, Any]]) -> None:
        if self._destinations is None:
            return
        try:
            await self._destinations.deliver(destination, records)
        except ServiceError as problem:
            log.warning("%d WAF log records for %s are lost: %s", len(records), destination, problem)

    def blocked(self, arn: str, rule: str, group_rule: str, now: float) -> list[str]:
        """Keys that some location holds back."""
        found: set[str] = set()
        for told, entries in self._blocked.values():
            if now - told < REPORTED:
                for each in entries:
                    if (each["arn"], each["rule"], each["group"]) == (arn, rule, group_rule):
                        found.update(each["keys"])
        return sorted(found)[:10000]


class ReportFeed:
    """The address that locations report to."""

    def __init__(
        self,
        reports: Reports,
        authenticate: Callable[[Request], Awaitable[Principal]],
        source: Source | None = None,
    ) -> None:
        self._reports = reports
        self._source = source
        self._authenticate = authenticate

    def routes(self) -> dict[str, Handler]:
        return {PREFIX: self.handle}

    def _ruleset(self, digest: str) -> Response:
        if self._source is None or self._source.digest != digest:
            raise ServiceError("NotFound", "there is no rule set of that digest", status=404)
        return Response(200, Headers.of([("content-type", "application/json")]), self._source.text.encode())

    async def handle(self, request: Request) -> Response:
        try:
            principal = await self._authenticate(request)
            if principal.kind != "key":  # a device may have credentials, and no business here
                message = "This address is for edge locations, with signed requests."
                raise ServiceError("AccessDenied", message, status=403)
            if request.raw_path == PREFIX + "report" and request.method == "POST":
                await self._reports.take(json.loads(await request.body.read(MOST_BYTES)))
                return json_response(200, {})
            if request.raw_path.startswith(RULESET) and request.method == "GET":
                return self._ruleset(request.raw_path.removeprefix(RULESET))
        except ServiceError as error:
            return json_response(error.status or 400, {"code": error.code, "message": error.message})
        except (ValueError, KeyError, TypeError) as problem:
            return json_response(400, {"code": "InvalidRequest", "message": f"unreadable report: {problem}"})
        return json_response(404, {"code": "NotFound", "message": request.raw_path})


RULESET = PREFIX + "ruleset/"
