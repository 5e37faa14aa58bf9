"""A region with both APIs, an edge location that follows it, and an origin: web ACLs from boto3 to the wire."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from littoral.aws.service import Principal
from littoral.edge.cloudfront import CloudFront
from littoral.edge.control import Control
from littoral.edge.feed import Feed
from littoral.edge.waf.api import Wafv2
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.reports import ReportFeed, Reports
from littoral.net.message import Request
from littoral.store.embedded import EmbeddedStore
from tests.edge.place import Origin
from tests.edge.test_control import Location, config, origin_of, until
from tests.support.served import Served, served

ACCOUNT = "000000000000"


class Kept:
    """A destination of log records that keeps them."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    async def exists(self, arn: str) -> bool:
        return arn.endswith("aws-waf-logs-here")

    async def deliver(self, arn: str, records: list[dict[str, Any]]) -> None:
        self.records.extend(records)


@dataclass
class Walls:
    """``protect`` puts a web ACL before the distribution and waits until it is enforced; ``ask`` asks the edge."""

    served: Served
    waf: Any
    cloudfront: Any
    logs: Kept
    edge: Location
    origin: Origin
    distribution: dict[str, Any]
    acl: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return str(self.distribution["DomainName"])

    def protect(self, *rules: dict[str, Any], default: str = "Allow", **more: Any) -> dict[str, Any]:
        """Create the web ACL, or update it."""
        asked = {
            "Name": "shop",
            "Scope": "CLOUDFRONT",
            "DefaultAction": {default: {}},
            "VisibilityConfig": visible("shop"),
            "Rules": [{**each, "Priority": number} for number, each in enumerate(rules)],
            **more,
        }
        if self.acl:
            found = self.waf.get_web_acl(Name="shop", Scope="CLOUDFRONT", Id=self.acl["Id"])
            self.waf.update_web_acl(**asked, Id=self.acl["Id"], LockToken=found["LockToken"])
        else:
            self.acl = self.waf.create_web_acl(**asked)["Summary"]
            self.associate(self.acl["ARN"])
        self.settled()
        return self.acl

    def associate(self, arn: str) -> None:
        found = self.cloudfront.get_distribution_config(Id=self.distribution["Id"])
        changed = found["DistributionConfig"] | {"WebACLId": arn}
        self.cloudfront.update_distribution(
            Id=self.distribution["Id"], DistributionConfig=changed, IfMatch=found["ETag"]
        )
        self.settled()

    def settled(self) -> None:
        until(lambda: self.edge.location.revision == self.control.revision)

    control: Control = field(default=None)  # type: ignore[assignment]

    def ask(
        self, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, Any]:
        """Status, body, headers. ``user_agent`` stands for User-Agent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.edge.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items() if name != "host"}
            connection.request(method, path, body, headers={"Host": headers.get("host", self.host), **named})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def status(self, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> int:
        return self.ask(path, method, body, **headers)[0]


def visible(name: str = "m") -> dict[str, Any]:
    return {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": False, "MetricName": name}


def rule(name: str, statement: dict[str, Any], action: str | dict[str, Any] = "Block", **more: Any) -> dict[str, Any]:
    """Its priority is its place in the list."""
    made = {action: {}} if isinstance(action, str) else action
    shown = {"VisibilityConfig": visible(name), "Priority": 0}
    return {"Name": name, "Statement": statement, "Action": made, **shown, **more}


def text(search: str | bytes, field: Any = None, constraint: str = "CONTAINS", *steps: str) -> dict[str, Any]:
    """A ByteMatchStatement, on the path unless said otherwise."""
    return {
        "ByteMatchStatement": {
            "SearchString": search if isinstance(search, bytes) else search.encode(),
            "FieldToMatch": field or {"UriPath": {}},
            "TextTransformations": transformations(*steps),
            "PositionalConstraint": constraint,
        }
    }


def transformations(*steps: str) -> list[dict[str, Any]]:
    return [{"Priority": number, "Type": step} for number, step in enumerate(steps or ("NONE",))]


def installed() -> Groups | None:
    """The Core Rule Set's groups, where the Debian package is there."""
    try:
        return Groups(Source.open())
    except NoRuleSet:
        return None


@contextmanager
def waf_region() -> Iterator[tuple[Served, Control, Kept]]:
    found: dict[str, Any] = {}
    logs = Kept()

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        control = found["control"] = await Control.open(store.records("edge-control"))
        reports = Reports(logs)
        groups = installed()

        async def authenticate(request: Request) -> Principal:
            principal: Principal = await found["place"].gateway.authenticate(request)
            return principal

        return {
            "cloudfront": CloudFront(control, account=ACCOUNT),
            "wafv2": Wafv2(
                control, account=ACCOUNT, region="us-east-1", reports=reports, destinations=logs, groups=groups
            ),
            "routes": Feed(control, authenticate, groups.source.digest if groups else None).routes()
            | ReportFeed(reports, authenticate, groups.source if groups else None).routes(),
            "close": [control.close],
        }

    with served(factory) as place:
        found["place"] = place
        yield place, found["control"], logs


@contextmanager
def walls(folder: Path) -> Iterator[Walls]:
    with waf_region() as (place, control, logs), origin_of(place) as (origin, port):
        cloudfront = boto3.client("cloudfront", **place.client_kwargs)
        behaviour_methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
        asked = config(port)
        asked["DefaultCacheBehavior"]["AllowedMethods"] = {
            "Quantity": 7,
            "Items": behaviour_methods,
            "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
        }
        distribution = cloudfront.create_distribution(DistributionConfig=asked)["Distribution"]
        edge = Location(place, folder).start()
        try:
            waf = boto3.client("wafv2", **place.client_kwargs)
            yield Walls(place, waf, cloudfront, logs, edge, origin, distribution, control=control)
        finally:
            edge.stop()
