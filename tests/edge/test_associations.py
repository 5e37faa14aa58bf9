"""Web ACLs and names that are put to distributions one at a time, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.edge.place import listed
from tests.edge.test_control import Place, config, refused, region, until
from tests.edge.waf.place import Walls, rule, text, walls


@pytest.fixture
def there() -> Iterator[Place]:
    with region() as made:
        yield made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Walls]:
    with walls(tmp_path) as made:
        yield made


def test_a_web_acl_is_put_to_a_distribution_and_taken_away(guarded: Walls) -> None:
    place = guarded
    acl = place.waf.create_web_acl(
        Name="own",
        Scope="CLOUDFRONT",
        DefaultAction={"Allow": {}},
        VisibilityConfig={"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"},
        Rules=[rule("no-secrets", text("secret"))],
    )["Summary"]["ARN"]
    cf, identifier = place.cloudfront, place.distribution["Id"]
    etag = cf.get_distribution(Id=identifier)["ETag"]
    associate = cf.associate_distribution_web_acl
    refused("InvalidIfMatchVersion", associate, Id=identifier, WebACLArn=acl)
    refused("PreconditionFailed", associate, Id=identifier, WebACLArn=acl, IfMatch="E0")
    refused("EntityNotFound", associate, Id="E0", WebACLArn=acl, IfMatch=etag)
    refused("EntityNotFound", associate, Id=identifier, WebACLArn=acl + "0", IfMatch=etag)
    assert place.status("/secret") == 200
    made = associate(Id=identifier, WebACLArn=acl, IfMatch=etag)
    assert (made["Id"], made["WebACLArn"]) == (identifier, acl)
    place.settled()
    assert place.status("/secret") == 403
    gone = cf.disassociate_distribution_web_acl(Id=identifier, IfMatch=made["ETag"])
    place.settled()
    assert place.status("/secret") == 200
    assert cf.get_distribution(Id=identifier)["ETag"] == gone["ETag"]


def test_a_name_moves(there: Place) -> None:
    cf = there.cloudfront
    wanted = config(Aliases=listed(["shop.example.org", "*.example.net"]))
    first = cf.create_distribution(DistributionConfig=wanted)["Distribution"]["Id"]
    made = cf.create_distribution(DistributionConfig=config(reference="2"))
    second, etag = made["Distribution"]["Id"], made["ETag"]

    def conflicts(domain: str) -> list[tuple[str, str]]:
        named = {"DistributionId": second}
        found = cf.list_domain_conflicts(Domain=domain, DomainControlValidationResource=named)["DomainConflicts"]
        return [(each["Domain"], each["ResourceId"]) for each in found]

    assert conflicts("shop.example.org") == [("shop.example.org", first)]
    assert conflicts("a.example.net") == [("*.example.net", first)]
    assert conflicts("free.example.org") == []
    target = {"DistributionId": second}
    move = cf.update_domain_association
    refused("InvalidIfMatchVersion", move, Domain="shop.example.org", TargetResource=target)
    refused("EntityNotFound", move, Domain="shop.example.org", TargetResource={"DistributionId": "E0"}, IfMatch=etag)
    tenant = {"DistributionTenantId": "dt_1"}
    refused("NotImplemented", move, Domain="shop.example.org", TargetResource=tenant, IfMatch=etag)
    moved = move(Domain="shop.example.org", TargetResource=target, IfMatch=etag)
    found = cf.get_distribution(Id=second)
    assert (moved["ResourceId"], moved["ETag"]) == (second, found["ETag"])
    assert found["Distribution"]["DistributionConfig"]["Aliases"]["Items"] == ["shop.example.org"]
    left = cf.get_distribution_config(Id=first)["DistributionConfig"]["Aliases"]["Items"]
    assert left == ["*.example.net"]


def test_of_two_moves_by_one_etag_one_is_made(there: Place) -> None:
    cf, lock = there.cloudfront, there.control.changing
    made = cf.create_distribution(DistributionConfig=config())
    target = {"DistributionId": made["Distribution"]["Id"]}

    def move(name: str) -> str:
        try:
            cf.update_domain_association(Domain=name, TargetResource=target, IfMatch=made["ETag"])
        except cf.exceptions.ClientError as refusal:
            return str(refusal.response["Error"]["Code"])
        return "moved"

    with ThreadPoolExecutor(2) as both:
        there.place.run(lock.acquire())
        asked = [both.submit(move, name) for name in ("a.example.org", "b.example.org")]
        until(lambda: "waiters:2" in repr(lock))
        there.place.loop.call_soon_threadsafe(lock.release)
        assert sorted(each.result() for each in asked) == ["PreconditionFailed", "moved"]


def test_lists_by_trust_store_and_mode(there: Place) -> None:
    cf = there.cloudfront
    made = cf.create_distribution(DistributionConfig=config())["Distribution"]["Id"]
    by_mode = cf.list_distributions_by_connection_mode
    assert [each["Id"] for each in by_mode(ConnectionMode="direct")["DistributionList"]["Items"]] == [made]
    assert by_mode(ConnectionMode="tenant-only")["DistributionList"]["Quantity"] == 0
    refused("EntityNotFound", cf.list_distributions_by_trust_store, TrustStoreIdentifier="none")
