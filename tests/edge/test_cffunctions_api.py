"""CloudFront functions and key-value stores through boto3 and the AWS CLI, and at an edge location that fetches them.

The client of key-value stores signs with SigV4A (awscrt) and puts the account before the host name. A loopback address
has no names below it, so it goes through the place as its HTTP proxy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from tests.edge.place import behaving, listed
from tests.edge.test_control import Location, Place, config, origin_of, refused, region, until

REWRITE = b"""
async function handler(event) {
    const request = event.request;
    if (request.uri.endsWith('/')) request.uri += 'index.html';
    console.log('to ' + request.uri);
    return request;
}
"""
BY_KEY = b"""
import cf from 'cloudfront';
const kvs = cf.kvs();
async function handler(event) {
    try {
        event.request.uri = await kvs.get(event.request.uri);
    } catch (problem) {
        return {statusCode: 404, statusDescription: 'Not Found', body: String(problem)};
    }
    return event.request;
}
"""


class Imported:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(self, bucket: str, key: str) -> bytes:
        return await self._objects.get_bytes(bucket, key)

    async def has(self, bucket: str) -> bool:
        return self._objects.has_bucket(bucket)


async def with_objects(store: EmbeddedStore) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    objects = await Objects.open(store, store.folder.parent / "objects")
    await objects.start()
    return {"s3": objects.api, "objects": Imported(objects)}, {}, [objects.close]


@pytest.fixture(scope="module")
def there() -> Iterator[Place]:
    with region(with_objects) as made:
        yield made


@pytest.fixture(scope="module")
def location(there: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Location]:
    made = Location(there.place, tmp_path_factory.mktemp("pop")).start()
    yield made
    made.stop()


def data_client(there: Place, **options: Any) -> Any:
    through = Config(proxies={"http": there.place.url})
    return boto3.client("cloudfront-keyvaluestore", config=through, **there.place.client_kwargs | options)


def aws(there: Place, *words: str, **env: str) -> Any:
    argv = [str(Path(sys.executable).with_name("aws")), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | there.place.env | env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def function_config(store: str | None = None, runtime: str = "cloudfront-js-2.0") -> dict[str, Any]:
    made: dict[str, Any] = {"Comment": "", "Runtime": runtime}
    return made | ({"KeyValueStoreAssociations": listed([{"KeyValueStoreARN": store}])} if store else {})


def at_viewer_request(arn: str) -> dict[str, Any]:
    return behaving(FunctionAssociations=listed([{"EventType": "viewer-request", "FunctionARN": arn}]))


def arn_of(made: dict[str, Any]) -> str:
    return str(made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"])


def deployed(there: Place, identifier: str) -> None:
    waiter = there.cloudfront.get_waiter("distribution_deployed")
    waiter.wait(Id=identifier, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})


def test_the_life_of_a_function(there: Place, location: Location) -> None:
    cf = there.cloudfront
    new = {"Name": "rewrite", "FunctionConfig": function_config(), "FunctionCode": REWRITE}
    made = cf.create_function(**new)
    summary, etag, arn = made["FunctionSummary"], made["ETag"], arn_of(made)
    assert arn == "arn:aws:cloudfront::000000000000:function/rewrite"
    assert (summary["Status"], summary["FunctionMetadata"]["Stage"]) == ("UNPUBLISHED", "DEVELOPMENT")
    refused("FunctionAlreadyExists", cf.create_function, **new)
    refused("NoSuchFunctionExists", cf.describe_function, Name="rewrite", Stage="LIVE")
    assert cf.get_function(Name="rewrite")["FunctionCode"].read() == REWRITE

    event = {"version": "1.0", "context": {"eventType": "viewer-request"}, "request": {"method": "GET", "uri": "/a/"}}
    tested = cf.test_function(Name="rewrite", IfMatch=etag, EventObject=json.dumps(event).encode())["TestResult"]
    assert json.loads(tested["FunctionOutput"]) == {"request": {"method": "GET", "uri": "/a/index.html"}}
    assert (tested["FunctionExecutionLogs"], tested["FunctionErrorMessage"]) == (["to /a/index.html"], "")
    assert 0 <= int(tested["ComputeUtilization"]) <= 100

    with origin_of(there.place) as (origin, port):
        wanted = config(port, "life", DefaultCacheBehavior=at_viewer_request(arn))
        refused("InvalidFunctionAssociation", cf.create_distribution, DistributionConfig=wanted)
        refused("PreconditionFailed", cf.publish_function, Name="rewrite", IfMatch="E1")
        published = cf.publish_function(Name="rewrite", IfMatch=etag)["FunctionSummary"]
        assert (published["FunctionMetadata"]["Stage"], published["Status"]) == ("LIVE", "UNASSOCIATED")
        distribution = cf.create_distribution(DistributionConfig=wanted)["Distribution"]
        deployed(there, distribution["Id"])
        assert location.get(distribution["DomainName"], "/a/")[:2] == (200, b"hello")
        assert origin.targets == ["/a/index.html"]
        assert cf.describe_function(Name="rewrite", Stage="LIVE")["FunctionSummary"]["Status"] == "DEPLOYED"

        new["FunctionCode"] = REWRITE.replace(b"index.html", b"default.html")
        etag = cf.update_function(IfMatch=etag, **new)["ETag"]
        assert cf.get_function(Name="rewrite", Stage="LIVE")["FunctionCode"].read() == REWRITE
        cf.publish_function(Name="rewrite", IfMatch=etag)
        until(lambda: location.get(distribution["DomainName"], "/b/") and origin.targets[-1] == "/b/default.html")
        refused("FunctionInUse", cf.delete_function, Name="rewrite", IfMatch=etag)
        assert [each["Name"] for each in cf.list_functions(Stage="LIVE")["FunctionList"]["Items"]] == ["rewrite"]
        held = cf.get_distribution_config(Id=distribution["Id"])["ETag"]
        cf.update_distribution(Id=distribution["Id"], IfMatch=held, DistributionConfig=config(port, "life"))
    cf.delete_function(Name="rewrite", IfMatch=etag)
    refused("NoSuchFunctionExists", cf.get_function, Name="rewrite")


def test_what_cannot_be_a_function_is_refused(there: Place) -> None:
    cf = there.cloudfront

    def create(text: bytes, name: str = "bad", **options: Any) -> Any:
        return cf.create_function(Name=name, FunctionConfig=function_config(**options), FunctionCode=text)

    assert "SyntaxError" in str(refused("InvalidArgument", create, text=b"function handler( {"))
    refused("InvalidArgument", create, text=b"\xff")
    refused("FunctionSizeLimitExceeded", create, text=b"//" + b"x" * 10240)
    refused("InvalidArgument", create, text=REWRITE, name="a b")
    refused("InvalidArgument", create, text=REWRITE, store="arn:aws:cloudfront::000000000000:key-value-store/none")
    etag = create(b"function handler() { throw new TypeError('no') }")["ETag"]
    tested = cf.test_function(Name="bad", IfMatch=etag, EventObject=b"{}")["TestResult"]
    assert (tested["FunctionErrorMessage"], tested["FunctionOutput"]) == ("TypeError: no", "")
    refused("InvalidArgument", cf.test_function, Name="bad", IfMatch=etag, EventObject=b"[")
    refused("PreconditionFailed", cf.test_function, Name="bad", IfMatch="E1", EventObject=b"{}")
    cf.delete_function(Name="bad", IfMatch=etag)


@pytest.mark.parametrize("event", ["origin-request", "viewer-request"])
def test_associations_that_do_not_go_together_are_refused(there: Place, event: str) -> None:
    name = f"beside-{event}"
    made = there.cloudfront.create_function(Name=name, FunctionConfig=function_config(), FunctionCode=REWRITE)
    there.cloudfront.publish_function(Name=name, IfMatch=made["ETag"])
    trigger = {
        "EventType": "viewer-response",
        "LambdaFunctionARN": "arn:aws:lambda:us-east-1:000000000000:function:f:1",
    }
    associations = listed([{"EventType": event, "FunctionARN": arn_of(made)}])
    behaviour = behaving(FunctionAssociations=associations, triggers=[trigger] if event.startswith("viewer") else [])
    wanted = config(reference=name, DefaultCacheBehavior=behaviour)
    refused("InvalidFunctionAssociation", there.cloudfront.create_distribution, DistributionConfig=wanted)


def test_keys_reach_the_edge(there: Place, location: Location) -> None:
    cf, kvs = there.cloudfront, data_client(there)
    store = cf.create_key_value_store(Name="routes", Comment="where to")
    arn = store["KeyValueStore"]["ARN"]
    assert (store["KeyValueStore"]["Status"], store["KeyValueStore"]["Comment"]) == ("READY", "where to")
    assert "Comment" not in cf.create_key_value_store(Name="without")["KeyValueStore"]
    refused("EntityAlreadyExists", cf.create_key_value_store, Name="routes")
    described = kvs.describe_key_value_store(KvsARN=arn)
    assert (described["ItemCount"], described["Status"]) == (0, "READY")
    put = kvs.put_key(KvsARN=arn, Key="/a", Value="/b", IfMatch=described["ETag"])
    assert (put["ItemCount"], put["TotalSizeInBytes"]) == (1, 4)

    made = cf.create_function(Name="by-key", FunctionConfig=function_config(arn), FunctionCode=BY_KEY)
    event = {"context": {"eventType": "viewer-request"}, "request": {"method": "GET", "uri": "/a"}}
    tested = cf.test_function(Name="by-key", IfMatch=made["ETag"], EventObject=json.dumps(event).encode())
    assert json.loads(tested["TestResult"]["FunctionOutput"])["request"]["uri"] == "/b"
    cf.publish_function(Name="by-key", IfMatch=made["ETag"])
    with origin_of(there.place) as (origin, port):
        wanted = config(port, "keys", DefaultCacheBehavior=at_viewer_request(arn_of(made)))
        distribution = cf.create_distribution(DistributionConfig=wanted)["Distribution"]
        deployed(there, distribution["Id"])
        host = distribution["DomainName"]
        assert location.get(host, "/a")[0] == 200
        assert origin.targets == ["/b"]
        assert location.get(host, "/c")[:2] == (404, b"Error: KeyNotFound")
        puts = [{"Key": "/c", "Value": "/d"}, {"Key": "/e", "Value": "/f"}]
        etag = kvs.update_keys(KvsARN=arn, IfMatch=put["ETag"], Puts=puts, Deletes=[{"Key": "/a"}])["ETag"]
        until(lambda: location.get(host, "/c")[0] == 200)
        assert origin.targets[-1] == "/d"
        assert location.get(host, "/a")[0] == 404

        location.stop()
        location.start("http://127.0.0.1:9")  # restarted, and the region is away: functions and keys are here
        assert location.get(host, "/c")[0] == 200
        assert location.get(host, "/zzz")[0] == 404
        location.stop()
        location.start()
    refused("CannotDeleteEntityWhileInUse", cf.delete_key_value_store, Name="routes", IfMatch=store["ETag"])
    assert kvs.get_key(KvsARN=arn, Key="/c")["Value"] == "/d"
    first = kvs.list_keys(KvsARN=arn, MaxResults=1)
    rest = kvs.list_keys(KvsARN=arn, NextToken=first["NextToken"])
    assert [each["Key"] for each in first["Items"] + rest["Items"]] == ["/c", "/e"]
    assert "NextToken" not in rest
    kvs.delete_key(KvsARN=arn, Key="/c", IfMatch=etag)
    refused("ConflictException", kvs.delete_key, KvsARN=arn, Key="/e", IfMatch=etag)
    refused("ResourceNotFoundException", kvs.get_key, KvsARN=arn, Key="/c")


def test_limits_of_stores_and_all_or_nothing(there: Place) -> None:
    cf, kvs = there.cloudfront, data_client(there)
    arn = cf.create_key_value_store(Name="limits")["KeyValueStore"]["ARN"]
    etag = kvs.describe_key_value_store(KvsARN=arn)["ETag"]
    refused("ValidationException", kvs.put_key, KvsARN=arn, Key="k", Value="x" * 1025, IfMatch=etag)
    refused("ValidationException", kvs.put_key, KvsARN=arn, Key="k" * 513, Value="x", IfMatch=etag)
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    refused("ValidationException", kvs.update_keys, KvsARN=arn, IfMatch=etag, Puts=twice)
    one = [{"Key": "a", "Value": "1"}]
    refused("ResourceNotFoundException", kvs.update_keys, KvsARN=arn, IfMatch=etag, Puts=one, Deletes=[{"Key": "b"}])
    assert kvs.describe_key_value_store(KvsARN=arn)["ItemCount"] == 0
    with pytest.raises(Exception, match="InvalidSignatureException"):
        data_client(there, aws_secret_access_key="wrong").describe_key_value_store(KvsARN=arn)


def test_a_store_is_filled_from_an_object(there: Place) -> None:
    s3 = boto3.client("s3", **there.place.client_kwargs)
    s3.create_bucket(Bucket="imports")
    good = {"data": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}
    s3.put_object(Bucket="imports", Key="good.json", Body=json.dumps(good))
    s3.put_object(Bucket="imports", Key="bad.json", Body=b'{"data": [{"key": "a"}]}')

    def create(name: str, key: str) -> Any:
        source = {"SourceType": "S3", "SourceARN": f"arn:aws:s3:::imports/{key}"}
        return there.cloudfront.create_key_value_store(Name=name, ImportSource=source)

    arn = create("imported", "good.json")["KeyValueStore"]["ARN"]
    assert data_client(there).get_key(KvsARN=arn, Key="b")["Value"] == "2"
    for key in ("bad.json", "none.json"):
        refused("InvalidArgument", create, name="broken", key=key)
    names = [each["Name"] for each in there.cloudfront.list_key_value_stores()["KeyValueStoreList"]["Items"]]
    assert "imported" in names and "broken" not in names


def test_a_stores_name_and_comment(there: Place) -> None:
    cf = there.cloudfront
    etag = cf.create_key_value_store(Name="named", Comment="one")["ETag"]
    refused("PreconditionFailed", cf.update_key_value_store, Name="named", Comment="two", IfMatch="E1")
    etag = cf.update_key_value_store(Name="named", Comment="two", IfMatch=etag)["ETag"]
    assert cf.describe_key_value_store(Name="named")["KeyValueStore"]["Comment"] == "two"
    cf.delete_key_value_store(Name="named", IfMatch=etag)
    refused("EntityNotFound", cf.describe_key_value_store, Name="named")


def test_the_aws_cli_does_it_too(there: Place, tmp_path: Path) -> None:
    code, event = tmp_path / "index.js", tmp_path / "event.json"
    code.write_bytes(REWRITE)
    event.write_text(json.dumps({"request": {"method": "GET", "uri": "/"}}))
    create = ["create-function", "--name", "cli", "--function-config", "Comment=,Runtime=cloudfront-js-1.0"]
    made = aws(there, "cloudfront", *create, "--function-code", f"fileb://{code}")
    test = ["test-function", "--name", "cli", "--if-match", made["ETag"], "--event-object", f"fileb://{event}"]
    assert "/index.html" in aws(there, "cloudfront", *test)["TestResult"]["FunctionOutput"]
    arn = aws(there, "cloudfront", "create-key-value-store", "--name", "cli")["KeyValueStore"]["ARN"]
    proxy = {"HTTP_PROXY": there.place.url, "NO_PROXY": ""}
    kvs = "cloudfront-keyvaluestore"
    etag = aws(there, kvs, "describe-key-value-store", "--kvs-arn", arn, **proxy)["ETag"]
    aws(there, kvs, "put-key", "--kvs-arn", arn, "--key", "k", "--value", "v", "--if-match", etag, **proxy)
    assert aws(there, kvs, "get-key", "--kvs-arn", arn, "--key", "k", **proxy)["Value"] == "v"
