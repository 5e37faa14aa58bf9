"""The Shield API by boto3 at a real place: what its guard refused is told as an attack, and survives a restart."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.edge.test_control import config

from .conftest import Running

FLOODER = "127.0.0.9"


def flood(port: int, host: str) -> None:
    """Ask as quickly as one can on one connection until it is closed; or be refused one."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with contextlib.suppress(ConnectionError), _connected(port) as client:
        client.sendall(request * 200)
        while client.recv(65536):
            pass


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20, (FLOODER, 0))


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value


def test_a_flood_is_an_attack_with_who_did_it(start: Callable[..., Running]) -> None:
    place = start("place", "--edge-client-requests", "40")
    shield, cloudfront = place.client("shield"), place.client("cloudfront")
    assert shield.describe_attack_statistics()["DataItems"] == [{"AttackCount": 0}]
    distribution = cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
    cloudfront.get_waiter("distribution_deployed").wait(
        Id=distribution["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    deadline = time.monotonic() + 60
    while not (found := shield.list_attacks()["AttackSummaries"]):
        assert time.monotonic() < deadline, "nobody was attacked"
        for _ in range(50):
            flood(place.port("edge"), distribution["DomainName"])
    (attack,) = found
    assert "EndTime" not in attack
    assert {"VectorType": "REQUEST_FLOOD"} in attack["AttackVectors"]
    assert attack["ResourceArn"] == distribution["ARN"]
    assert len(shield.list_attacks(ResourceArns=[distribution["ARN"]])["AttackSummaries"]) == 1
    assert shield.list_attacks(ResourceArns=["arn:aws:cloudfront::1:distribution/E"])["AttackSummaries"] == []
    past = {"ToExclusive": attack["StartTime"] - timedelta(seconds=1)}
    assert shield.list_attacks(StartTime=past)["AttackSummaries"] == []
    assert shield.list_attacks(EndTime={"FromInclusive": 0})["AttackSummaries"] == []
    refused("InvalidParameterException", shield.list_attacks, StartTime={"FromInclusive": 2, "ToExclusive": 1})
    described = shield.describe_attack(AttackId=attack["AttackId"])["Attack"]
    (source,) = described["AttackProperties"]
    assert source["TopContributors"] == [{"Name": FLOODER, "Value": source["Total"]}]
    assert sum(each["Sum"] for each in described["AttackCounters"]) == source["Total"] >= 100
    (item,) = shield.describe_attack_statistics()["DataItems"]
    assert item["AttackCount"] == 1
    assert item["AttackVolume"]["RequestsPerSecond"]["Max"] >= 1
    refused("AccessDeniedException", shield.describe_attack, AttackId="none")


def test_protections_are_kept(start: Callable[..., Running]) -> None:
    place = start("place")
    shield = place.client("shield")
    arn = place.client("cloudfront").create_distribution(DistributionConfig=config())["Distribution"]["ARN"]
    assert shield.get_subscription_state()["SubscriptionState"] == "INACTIVE"
    refused("ResourceNotFoundException", shield.describe_subscription)
    refused("ResourceNotFoundException", shield.create_protection, Name="a", ResourceArn=arn)
    shield.create_subscription()
    refused("ResourceAlreadyExistsException", shield.create_subscription)
    shield.update_subscription(AutoRenew="DISABLED")
    refused("InvalidParameterException", shield.update_subscription, AutoRenew="MAYBE")
    made = shield.create_protection(Name="a", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])["ProtectionId"]
    refused("ResourceAlreadyExistsException", shield.create_protection, Name="b", ResourceArn=arn)
    refused("ResourceNotFoundException", shield.create_protection, Name="b", ResourceArn=arn + "X")
    other = "arn:aws:ec2:us-east-1:000000000000:eip-allocation/eipalloc-1"
    refused("InvalidResourceException", shield.create_protection, Name="b", ResourceArn=other)
    refused("InvalidOperationException", shield.enable_application_layer_automatic_response,
            ResourceArn=arn, Action={"Block": {}})  # fmt: skip
    refused("NotImplemented", shield.create_protection_group, ProtectionGroupId="g", Aggregation="MAX", Pattern="ALL")
    assert place.process.stop() == 0
    again = start("place")
    shield = again.client("shield")
    assert shield.get_subscription_state()["SubscriptionState"] == "ACTIVE"
    subscription = shield.describe_subscription()["Subscription"]
    assert (subscription["AutoRenew"], subscription["TimeCommitmentInSeconds"]) == ("DISABLED", 0)
    (listed,) = shield.list_protections()["Protections"]
    assert (listed["Id"], listed["Name"], listed["ResourceArn"]) == (made, "a", arn)
    assert shield.describe_protection(ResourceArn=arn)["Protection"] == listed
    assert shield.list_protections(InclusionFilters={"ProtectionNames": ["b"]})["Protections"] == []
    assert shield.list_protections(InclusionFilters={"ResourceTypes": ["CLOUDFRONT_DISTRIBUTION"]})["Protections"]
    refused("InvalidPaginationTokenException", shield.list_protections, NextToken="x")
    refused("InvalidParameterException", shield.describe_protection)
    named = listed["ProtectionArn"]
    shield.tag_resource(ResourceARN=named, Tags=[{"Key": "l", "Value": "w"}])
    shield.untag_resource(ResourceARN=named, TagKeys=["k"])
    assert shield.list_tags_for_resource(ResourceARN=named)["Tags"] == [{"Key": "l", "Value": "w"}]
    refused("InvalidResourceException", shield.list_tags_for_resource, ResourceARN=arn)
    shield.delete_protection(ProtectionId=made)
    refused("ResourceNotFoundException", shield.delete_protection, ProtectionId=made)
    shield.delete_subscription()
    assert shield.get_subscription_state()["SubscriptionState"] == "INACTIVE"
