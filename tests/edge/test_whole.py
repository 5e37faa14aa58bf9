"""The whole way: bucket, access control, two Node.js functions, one distribution; served by an edge location that
has nothing but the region's address and a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from littoral.functions import Functions
from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from tests.edge.place import behaving, listed
from tests.edge.test_control import Location, config, region
from tests.functions.deploy import NODE, PYTHON, ROLE, zip_of

PERSONALISE = """
exports.handler = async (event) => {
  const request = event.Records[0].cf.request;
  const ward = request.headers['x-ward'] ? request.headers['x-ward'][0].value : 'none';
  if (ward === 'locked') return {status: '403', statusDescription: 'Locked', body: 'locked'};
  if (ward === 'broken') throw new Error('no such ward');
  request.uri = '/ward-' + ward + '.html';
  return request;
};
"""
SECURE = """
def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    response["headers"]["strict-transport-security"] = [
        {"key": "Strict-Transport-Security", "value": "max-age=63072000"}
    ]
    return response
"""


async def everything(store: EmbeddedStore) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    folder = store.folder.parent
    functions = await Functions.open(store, folder / "functions")
    await functions.start()
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    return {"lambda": functions.api, "s3": objects.api}, functions.routes(), [functions.close, objects.close]


def test_the_whole_way(tmp_path: Path) -> None:
    with region(everything) as there:
        clients = {name: boto3.client(name, **there.place.client_kwargs) for name in ("s3", "lambda")}
        s3, cf = clients["s3"], there.cloudfront
        s3.create_bucket(Bucket="wards")
        for ward in ("7", "8"):
            body = f"ward {ward}".encode()
            s3.put_object(Bucket="wards", Key=f"ward-{ward}.html", Body=body, ContentType="text/html")
        arns = {}
        for name, runtime, code in (
            ("personal", NODE, {"index__js": PERSONALISE}),
            ("secure", PYTHON, {"index__py": SECURE}),
        ):
            clients["lambda"].create_function(
                FunctionName=name, Runtime=runtime, Role=ROLE, Handler="index.handler", Code={"ZipFile": zip_of(**code)}
            )
            arns[name] = clients["lambda"].publish_version(FunctionName=name)["FunctionArn"]
        control = cf.create_origin_access_control(
            OriginAccessControlConfig={
                "Name": "wards",
                "SigningProtocol": "sigv4",
                "SigningBehavior": "always",
                "OriginAccessControlOriginType": "s3",
            }
        )["OriginAccessControl"]["Id"]
        origin = {
            "Id": "o",
            "DomainName": "wards.s3.us-east-1.amazonaws.com",
            "S3OriginConfig": {"OriginAccessIdentity": ""},
            "OriginAccessControlId": control,
        }
        triggers = [
            {"EventType": "viewer-request", "LambdaFunctionARN": arns["personal"]},
            {"EventType": "origin-response", "LambdaFunctionARN": arns["secure"]},
        ]
        location = Location(there.place, tmp_path, with_functions=True).start()
        try:
            wanted = config(Origins=listed([origin]), DefaultCacheBehavior=behaving(triggers=triggers))
            made = cf.create_distribution(DistributionConfig=wanted)["Distribution"]
            cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
            host = made["DomainName"]
            for ward, label in (("7", "Miss"), ("8", "Miss"), ("7", "Hit"), ("8", "Hit")):
                status, body, headers = location.ask(host, "/", **{"X-Ward": ward})
                assert (status, body, headers["content-type"]) == (200, f"ward {ward}".encode(), "text/html")
                assert headers["x-cache"] == f"{label} from cloudfront"
                assert headers["strict-transport-security"] == "max-age=63072000"
            status, body, headers = location.ask(host, "/", **{"X-Ward": "locked"})
            assert (status, body, headers["x-cache"]) == (403, b"locked", "LambdaGeneratedResponse from cloudfront")
            assert location.ask(host, "/", **{"X-Ward": "broken"})[0] == 503
            assert location.ask(host, "/", **{"X-Ward": "9"})[0] in {403, 404}

            location.stop()
            location.start("http://127.0.0.1:9")  # restarted, and the region is away: its functions are here
            assert location.ask(host, "/", **{"X-Ward": "locked"})[1] == b"locked"
            assert location.ask(host, "/", **{"X-Ward": "7"})[1] == b"ward 7"  # and so is what it had cached
            assert location.ask(host, "/", **{"X-Ward": "11"})[0] == 502
        finally:
            location.stop()
