"""Write once, deploy everywhere: which versions may be triggers, where their replicas are, and how they go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.edge.edgefunctions import refusal
from littoral.edge.feed import replicated, sites
from littoral.functions import Functions
from littoral.site.capabilities.edge import EdgeFunctions
from littoral.store.embedded import EmbeddedStore
from tests.edge.place import behaving
from tests.edge.test_control import Location, Place, config, refused, region
from tests.functions.deploy import PYTHON, ROLE, zip_of
from tests.support.confined import FACTS, confined

CODE = "def handler(event, context):\n    return event['Records'][0]['cf']['request']\n"


@pytest.fixture
def there() -> Iterator[Place]:
    made: list[Place] = []

    async def functions(store: EmbeddedStore) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        found = await Functions.open(store, store.folder.parent / "functions")
        await found.start()
        found.replicas(lambda arn: replicated(made[0].control, arn))
        return {"lambda": found.api, "lookup": EdgeFunctions(found)}, found.routes(), [found.close]

    with region(functions) as place:
        made.append(place)
        yield place


def publish(client: Any, name: str, source: str = CODE, **changes: Any) -> str:
    """A new version, by its ARN."""
    try:
        client.create_function(
            FunctionName=name,
            Runtime=PYTHON,
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": zip_of(index__py=source)},
            **changes,
        )
    except client.exceptions.ResourceConflictException:
        code = CODE + f"# {time.monotonic()}\n"
        client.update_function_code(FunctionName=name, ZipFile=zip_of(index__py=code))
        client.get_waiter("function_updated_v2").wait(FunctionName=name)
    arn: str = client.publish_version(FunctionName=name)["FunctionArn"]
    return arn


def triggered(*arns: str) -> dict[str, Any]:
    kinds = ("viewer-request", "origin-request")
    triggers = [{"EventType": kind, "LambdaFunctionARN": arn} for kind, arn in zip(kinds, arns, strict=False)]
    return config(DefaultCacheBehavior=behaving(triggers=triggers))


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


CELL = """
import json
def handler(event, context):
    [outside] = event["Records"][0]["cf"]["request"]["headers"]["outside"]
    return {"status": "200", "body": json.dumps(facts(outside["value"]))}
"""


def test_a_function_at_the_edge_is_in_a_cell(there: Place, tmp_path: Path) -> None:
    arn = publish(boto3.client("lambda", **there.place.client_kwargs), "cell", FACTS + CELL)
    location = Location(there.place, tmp_path / "pop1", with_functions=True).start()
    try:
        made = there.cloudfront.create_distribution(DistributionConfig=triggered(arn))["Distribution"]
        until(lambda: location.ask(made["DomainName"], "/", Outside=str(location.folder))[0] == 200)
        _, body, _ = location.ask(made["DomainName"], "/", Outside=str(location.folder))
        assert json.loads(body) == confined(location.folder, memory=128, tmp=512)
    finally:
        location.stop()


def test_replicas_come_and_go_with_the_distribution(there: Place, tmp_path: Path) -> None:
    functions = boto3.client("lambda", **there.place.client_kwargs)
    cf = there.cloudfront
    first, other = publish(functions, "a"), publish(functions, "b")
    locations = [Location(there.place, tmp_path / n, name=n, with_functions=True).start() for n in ("pop1", "pop2")]

    def held() -> dict[str, list[str]]:
        return {each["name"]: each["functions"] for each in sites(there.control)["locations"]}

    def here(name: str, version: str) -> list[bool]:
        return [each.functions.installed(name, version) is not None for each in locations if each.functions]

    try:
        made = cf.create_distribution(DistributionConfig=triggered(first, other))
        until(lambda: held() == {"pop1": sorted([first, other]), "pop2": sorted([first, other])})
        assert {each["state"] for each in sites(there.control)["locations"]} == {"current"}
        for target in ({"FunctionName": "a"}, {"FunctionName": "a", "Qualifier": "1"}):
            with pytest.raises(ClientError, match="is a replicated function"):
                functions.delete_function(**target)

        second = publish(functions, "a")
        update = {"Id": made["Distribution"]["Id"], "DistributionConfig": triggered(second), "IfMatch": made["ETag"]}
        cf.update_distribution(**update)
        until(lambda: held() == {"pop1": [second], "pop2": [second]})
        assert (here("a", "1"), here("b", "1"), here("a", "2")) == ([False] * 2, [False] * 2, [True] * 2)
        functions.delete_function(FunctionName="a", Qualifier="1")
        functions.delete_function(FunctionName="b")
        with pytest.raises(ClientError, match="is a replicated function"):
            functions.delete_function(FunctionName="a")
    finally:
        for each in locations:
            each.stop()


def test_a_trigger_names_a_version_that_may_be_one(there: Place) -> None:
    functions = boto3.client("lambda", **there.place.client_kwargs)
    cf = there.cloudfront
    good = publish(functions, "good")
    missing = triggered(good.rsplit(":", 1)[0] + ":9")
    big = triggered(publish(functions, "big", MemorySize=256))
    told = triggered(publish(functions, "told", Environment={"Variables": {"WARD": "7"}}))
    held = triggered(publish(functions, "held"))
    functions.put_function_concurrency(FunctionName="held", ReservedConcurrentExecutions=1)
    for wrong in (missing, big, told, held):
        refused("InvalidLambdaFunctionAssociation", cf.create_distribution, DistributionConfig=wrong)
    cf.create_distribution(DistributionConfig=triggered(good))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Runtime": "java21"}, "java21"),
        ({"PackageType": "Image"}, "image"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "VPC"),
        ({"DeadLetterConfig": {"TargetArn": "arn:x"}}, "dead-letter"),
        ({"Environment": {"Variables": {"A": "b"}}}, "environment"),
        ({"Layers": [{"Arn": "arn:x"}]}, "layers"),
        ({"TracingConfig": {"Mode": "Active"}}, "tracing"),
        ({"Architectures": ["arm64"]}, "arm64"),
        ({"EphemeralStorage": {"Size": 513}}, "512 MB"),
        ({"ReservedConcurrency": True}, "reserved concurrency"),
        ({"ProvisionedConcurrency": True}, "provisioned concurrency"),
        ({"MemorySize": 129}, "128 MB"),
        ({"Timeout": 6}, "5 seconds"),
        ({"CodeSize": 1024 * 1024 + 1}, "1 MB"),
    ],
)
def test_what_lambda_at_edge_does_not_support(change: dict[str, Any], why: str) -> None:
    plain = {"Runtime": "nodejs20.x", "MemorySize": 128, "Timeout": 5, "CodeSize": 1000}
    assert refusal("viewer-request", plain) is None
    assert why in (refusal("viewer-response", plain | change) or "")
    if {"MemorySize", "Timeout", "CodeSize"} & set(change):
        assert refusal("origin-request", plain | change) is None
    larger = {"Timeout": 31, "CodeSize": 50 * 1024 * 1024 + 1}
    assert "30 seconds" in (refusal("origin-response", plain | larger) or "")
