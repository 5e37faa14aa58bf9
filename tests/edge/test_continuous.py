"""Continuous deployment through boto3 and at an edge location: staging distributions, policies, sessions, promotion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.continuous import COOKIE, Way, way_of, without_session
from littoral.edge.plan.deployment import Deployment
from littoral.net.message import Headers
from tests.edge.place import answer, behaving, listed
from tests.edge.test_accesslog import Kept, logging
from tests.edge.test_control import Location, Place, config, origin_of, refused, region, until

HEADER = {"Type": "SingleHeader", "SingleHeaderConfig": {"Header": "aws-cf-cd-new", "Value": "yes"}}
STICKY = {"IdleTTL": 300, "MaximumTTL": 600}


def by_weight(weight: float = 0.15, sticky: dict[str, int] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"Weight": weight}
    return {
        "Type": "SingleWeight",
        "SingleWeightConfig": found | ({"SessionStickinessConfig": sticky} if sticky else {}),
    }


def policy(domain: str, traffic: dict[str, Any], enabled: bool = True) -> dict[str, Any]:
    return {"StagingDistributionDnsNames": listed([domain]), "Enabled": enabled, "TrafficConfig": traffic}


class Staged:
    """A copy of a primary distribution, with changes, that a policy sends requests to."""

    header: ClassVar = {"aws_cf_cd_new": "yes"}

    def __init__(self, cf: Any, primary: str, traffic: dict[str, Any] | None = None, **changes: Any) -> None:
        self.cf = cf
        self.primary = primary
        found = cf.get_distribution(Id=primary)
        copied = cf.copy_distribution(
            PrimaryDistributionId=primary, Staging=True, CallerReference="staging", IfMatch=found["ETag"]
        )
        self.id, self.domain = copied["Distribution"]["Id"], copied["Distribution"]["DomainName"]
        self.copied = copied["Distribution"]["DistributionConfig"]
        self.etag = copied["ETag"]
        if changes:
            self.change(**changes)
        made = cf.create_continuous_deployment_policy(
            ContinuousDeploymentPolicyConfig=policy(self.domain, traffic or HEADER)
        )
        self.policy = made["ContinuousDeploymentPolicy"]["Id"]
        wanted = found["Distribution"]["DistributionConfig"] | {"ContinuousDeploymentPolicyId": self.policy}
        cf.update_distribution(Id=primary, DistributionConfig=wanted, IfMatch=found["ETag"])

    def change(self, **changes: Any) -> None:
        found = self.cf.get_distribution_config(Id=self.id)
        wanted = found["DistributionConfig"] | changes
        self.etag = self.cf.update_distribution(Id=self.id, DistributionConfig=wanted, IfMatch=found["ETag"])["ETag"]


@pytest.fixture
def there() -> Iterator[Place]:
    with region() as made:
        yield made


@pytest.fixture
def location(there: Place, tmp_path: Path) -> Iterator[Location]:
    made = Location(there.place, tmp_path).start()
    yield made
    made.stop()


def settled(there: Place, location: Location) -> None:
    until(lambda: location.location.revision == there.control.revision)


def origin_at(port: int, path: str) -> dict[str, Any]:
    custom = {"HTTPPort": port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    return {"Id": "o", "DomainName": "127.0.0.1", "OriginPath": path, "CustomOriginConfig": custom}


# -------------------------------------------------------------------------------------------------- the API


def test_a_copy_and_what_it_leaves_out(there: Place) -> None:
    cf = there.cloudfront
    made = cf.create_distribution(DistributionConfig=config(Aliases=listed(["shop.example.org"]), Comment="shop"))
    identifier, etag = made["Distribution"]["Id"], made["ETag"]
    copy = {"PrimaryDistributionId": identifier, "CallerReference": "c"}
    refused("InvalidArgument", cf.copy_distribution, **copy, IfMatch=etag)
    refused("InvalidIfMatchVersion", cf.copy_distribution, **copy, Staging=True)
    refused("PreconditionFailed", cf.copy_distribution, **copy, Staging=True, IfMatch="E0")
    copied = cf.copy_distribution(**copy, Staging=True, IfMatch=etag, Enabled=False)["Distribution"]
    found = copied["DistributionConfig"]
    assert (found["Staging"], found["Enabled"], found["Comment"]) == (True, False, "shop")
    assert (found["Aliases"]["Quantity"], found["CallerReference"]) == (0, "c")
    assert {each["Id"]: each["Staging"] for each in cf.list_distributions()["DistributionList"]["Items"]} == {
        identifier: False,
        copied["Id"]: True,
    }
    etag = cf.get_distribution(Id=copied["Id"])["ETag"]
    refused(
        "IllegalUpdate",
        cf.update_distribution,
        Id=copied["Id"],
        IfMatch=etag,
        DistributionConfig=found | {"Staging": False},
    )


def test_the_life_of_a_policy(there: Place) -> None:
    cf = there.cloudfront
    primary = cf.create_distribution(DistributionConfig=config())["Distribution"]
    other = cf.create_distribution(DistributionConfig=config(reference="2"))
    make = cf.create_continuous_deployment_policy
    not_staging = policy(primary["DomainName"], HEADER)
    refused("InvalidArgument", make, ContinuousDeploymentPolicyConfig=not_staging)
    staged = Staged(cf, primary["Id"])
    wanted = policy(staged.domain, by_weight(0.1, STICKY))
    refused("StagingDistributionInUse", make, ContinuousDeploymentPolicyConfig=wanted)
    found = cf.get_continuous_deployment_policy(Id=staged.policy)
    change = cf.update_continuous_deployment_policy
    named = {"Id": staged.policy, "ContinuousDeploymentPolicyConfig": wanted}
    refused("InvalidIfMatchVersion", change, **named)
    refused("PreconditionFailed", change, **named, IfMatch="E0")
    updated = change(**named, IfMatch=found["ETag"])
    config_now = cf.get_continuous_deployment_policy_config(Id=staged.policy)
    assert config_now["ETag"] == updated["ETag"]
    assert config_now["ContinuousDeploymentPolicyConfig"] == wanted
    listed_now = cf.list_continuous_deployment_policies()["ContinuousDeploymentPolicyList"]
    assert [each["ContinuousDeploymentPolicy"]["Id"] for each in listed_now["Items"]] == [staged.policy]

    taken = other["Distribution"]["DistributionConfig"] | {"ContinuousDeploymentPolicyId": staged.policy}
    here = {"Id": other["Distribution"]["Id"], "IfMatch": other["ETag"]}
    refused("ContinuousDeploymentPolicyInUse", cf.update_distribution, **here, DistributionConfig=taken)
    unknown = taken | {"ContinuousDeploymentPolicyId": "none"}
    refused("NoSuchContinuousDeploymentPolicy", cf.update_distribution, **here, DistributionConfig=unknown)
    at_once = config(reference="3", ContinuousDeploymentPolicyId=staged.policy)
    refused("InvalidArgument", cf.create_distribution, DistributionConfig=at_once)
    delete = cf.delete_continuous_deployment_policy
    refused("ContinuousDeploymentPolicyInUse", delete, Id=staged.policy, IfMatch=updated["ETag"])
    staged.change(Enabled=False)
    refused("ResourceInUse", cf.delete_distribution, Id=staged.id, IfMatch=staged.etag)

    found = cf.get_distribution_config(Id=primary["Id"])
    without = found["DistributionConfig"] | {"ContinuousDeploymentPolicyId": ""}
    cf.update_distribution(Id=primary["Id"], DistributionConfig=without, IfMatch=found["ETag"])
    delete(Id=staged.policy, IfMatch=updated["ETag"])
    refused("NoSuchContinuousDeploymentPolicy", delete, Id=staged.policy, IfMatch=updated["ETag"])
    cf.delete_distribution(Id=staged.id, IfMatch=staged.etag)


@pytest.mark.parametrize(
    "traffic",
    [
        by_weight(0.16),
        by_weight(-0.1),
        by_weight(0.1, {"IdleTTL": 299, "MaximumTTL": 600}),
        by_weight(0.1, {"IdleTTL": 300, "MaximumTTL": 3601}),
        by_weight(0.1, {"IdleTTL": 600, "MaximumTTL": 300}),
        {"Type": "SingleHeader", "SingleHeaderConfig": {"Header": "x-new", "Value": "yes"}},
        {"Type": "SingleHeader"},
        by_weight() | {"Type": "SingleHeader"},
    ],
)
def test_what_a_policy_may_not_say(there: Place, traffic: dict[str, Any]) -> None:
    cf = there.cloudfront
    made = cf.create_distribution(DistributionConfig=config(Staging=True))["Distribution"]
    wanted = policy(made["DomainName"], traffic)
    refused("InvalidArgument", cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=wanted)


# ---------------------------------------------------------------------------------------------- at the edge


def test_a_header_leads_to_the_staging_distribution_until_it_is_promoted(there: Place, location: Location) -> None:
    cf = there.cloudfront
    with origin_of(there.place) as (origin, port):
        origin.respond = lambda request: answer(request.target.encode(), cache_control="max-age=600")
        wanted = config(port, Aliases=listed(["shop.example.org"]))
        primary = cf.create_distribution(DistributionConfig=wanted)["Distribution"]
        staged = Staged(cf, primary["Id"], Origins=listed([origin_at(port, "/new")]))
        settled(there, location)
        new = {"aws-cf-cd-new": "yes"}
        for _ in range(2):  # they share no cache
            assert location.ask("shop.example.org", "/a")[1] == b"/a"
            assert location.ask("shop.example.org", "/a", **new)[1] == b"/new/a"
        assert location.ask("shop.example.org", "/a", **{"aws-cf-cd-new": "no"})[1] == b"/a"
        assert location.ask(staged.domain, "/a", **new)[0] == 403  # nobody asks it by its name
        assert origin.targets == ["/a", "/new/a"]

        etag = cf.get_distribution(Id=primary["Id"])["ETag"]
        promote = {"Id": primary["Id"], "StagingDistributionId": staged.id}
        refused("InvalidIfMatchVersion", cf.update_distribution_with_staging_config, **promote, IfMatch=etag)
        both = f"{etag}, {staged.etag}"
        promoted = cf.update_distribution_with_staging_config(**promote, IfMatch=both)["Distribution"]
        kept = promoted["DistributionConfig"]
        assert kept["Aliases"]["Items"] == ["shop.example.org"]
        assert (kept["Staging"], kept["ContinuousDeploymentPolicyId"]) == (False, staged.policy)
        assert kept["Origins"]["Items"][0]["OriginPath"] == "/new"
        found = cf.get_continuous_deployment_policy(Id=staged.policy)["ContinuousDeploymentPolicy"]
        assert found["ContinuousDeploymentPolicyConfig"]["Enabled"] is False
        settled(there, location)
        assert location.ask("shop.example.org", "/b")[1] == b"/new/b"


def test_a_share_goes_there_and_a_session_stays(there: Place, location: Location) -> None:
    cf = there.cloudfront
    with origin_of(there.place) as (origin, port):
        origin.respond = lambda request: answer(request.target.encode(), cache_control="max-age=600")
        primary = cf.create_distribution(DistributionConfig=config(port))["Distribution"]
        Staged(cf, primary["Id"], by_weight(0.15, STICKY), Origins=listed([origin_at(port, "/new")]))
        settled(there, location)
        chances = [0.9]
        location.pipeline.chance = lambda: chances[0]
        host = primary["DomainName"]
        _, body, headers = location.ask(host, "/a")
        stays = headers["set-cookie"].partition(";")[0]
        assert (body, stays.startswith(f"{COOKIE}=p.")) == (b"/a", True)
        chances[0] = 0.1
        assert location.ask(host, "/a", Cookie=stays)[1] == b"/a"
        _, body, headers = location.ask(host, "/a", Cookie="a=b")
        moved = headers["set-cookie"].partition(";")[0]
        assert (body, moved.startswith(f"{COOKIE}=s.")) == (b"/new/a", True)
        chances[0] = 0.9
        for _ in range(2):
            assert location.ask(host, "/a", Cookie=f"a=b; {moved}")[1] == b"/new/a"
        assert len(origin.asked) == 2
        assert all(COOKIE not in (each.headers.get("cookie") or "") for each in origin.asked)


def test_the_log_is_that_of_the_distribution_that_answered(there: Place, location: Location, tmp_path: Path) -> None:
    cf, bucket = there.cloudfront, Kept()
    access = location.pipeline.access = AccessLogs(tmp_path / "logs", "POP1", bucket, 60.0)
    with origin_of(there.place) as (_, port):
        primary = cf.create_distribution(DistributionConfig=config(port))["Distribution"]
        staged = Staged(cf, primary["Id"], Logging=logging())
        settled(there, location)
        for header in ({}, {"aws-cf-cd-new": "yes"}, {"aws-cf-cd-new": "yes"}):
            location.ask(primary["DomainName"], "/a", **header)
        there.place.run(access.flush_and_deliver())
        assert [name.split("/")[2].split(".")[0] for name in bucket.files] == [staged.id]
        assert [each["x-edge-result-type"] for each in bucket.lines()] == ["Miss", "Hit"]


def test_a_staging_distributions_behaviours_are_its_own(there: Place, location: Location) -> None:
    cf = there.cloudfront
    with origin_of(there.place) as (_, port):
        primary = cf.create_distribution(DistributionConfig=config(port))["Distribution"]
        Staged(cf, primary["Id"], DefaultCacheBehavior=behaving(ViewerProtocolPolicy="https-only"))
        settled(there, location)
        assert location.ask(primary["DomainName"], "/a")[0] == 200
        assert location.ask(primary["DomainName"], "/a", **{"aws-cf-cd-new": "yes"})[0] == 403


# -------------------------------------------------------------------------------------------------- sessions

STAYS = Deployment("s.example", weight=0.1, idle=300, most=600)


def asked(*cookies: str) -> Headers:
    return Headers.of([("cookie", each) for each in cookies])


def test_a_session_ends_when_the_viewer_was_idle_and_when_it_is_old() -> None:
    def leads(chance: float, now: float, cookie: str) -> bool:
        return way_of(STAYS, asked(f"a=b; {COOKIE}={cookie}"), chance, now).staged

    assert leads(0.5, 1300.0, "s.1000.1000") is True
    assert leads(0.5, 1301.0, "s.1000.1000") is False
    assert leads(0.0, 1599.0, "p.1000.1400") is False
    assert leads(0.0, 1600.0, "p.1000.1400") is True
    way = way_of(STAYS, asked(f"{COOKIE}=s.1000.1400"), 0.5, 1500.0)
    assert way.cookie == f"{COOKIE}=s.1000.1500; Path=/; Max-Age=100; HttpOnly".encode()


@pytest.mark.parametrize(
    "cookie", ["s", "s.1", "x.1000.1000", "s.1000.2000", "s.2000.1000", f"s.1000.{'9' * 5000}", "s.-1.5"]
)
def test_a_session_that_nobody_gave_is_none(cookie: str) -> None:
    assert way_of(STAYS, asked(f"{COOKIE}={cookie}"), 0.5, 1500.0).staged is False
    assert b".1500.1500;" in way_of(STAYS, asked(f"{COOKIE}={cookie}"), 0.5, 1500.0).cookie


def test_without_sessions_each_request_is_drawn() -> None:
    drawn = Deployment("s.example", weight=0.1)
    assert [way_of(drawn, asked(), chance, 0.0) for chance in (0.09, 0.1)] == [Way(True), Way(False)]


def test_only_the_edges_cookie_is_taken_away() -> None:
    raw = asked("a=b", f"{COOKIE}=s.1.1", f"c=d; {COOKIE}=s.1.1; e=f").raw
    assert without_session(raw) == asked("a=b", "c=d; e=f").raw
    plain = asked("a=b").raw
    assert without_session(plain) is plain
