"""The clients that people have, against a real place: AWS CLI, boto3, paho-mqtt, curl and a browser."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import threading
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from botocore.exceptions import ClientError
from paho.mqtt.enums import CallbackAPIVersion

from .conftest import ROLE, Running, needs


def zipped(**files: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        for name, text in files.items():
            bundle.writestr(name.replace("__", "."), text)
    return archive.getvalue()


def test_the_aws_cli_knows_who_it_is(place: Running) -> None:
    who = json.loads(place.aws("sts", "get-caller-identity"))
    assert who["Account"] == "000000000000"


def test_the_aws_cli_copies_a_folder_up_and_down(place: Running, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "sub").mkdir(parents=True)
    (source / "one.txt").write_text("one")
    (source / "sub" / "big.bin").write_bytes(bytes(range(256)) * 40_000)  # 10 MB: multipart
    place.aws("s3", "mb", "s3://cli-bucket")
    place.aws("s3", "sync", str(source), "s3://cli-bucket/copy", "--no-progress")
    place.aws("s3", "sync", "s3://cli-bucket/copy", str(back), "--no-progress")
    assert (back / "one.txt").read_text() == "one"
    assert (back / "sub" / "big.bin").read_bytes() == (source / "sub" / "big.bin").read_bytes()
    assert "BucketNotEmpty" in place.aws("s3api", "delete-bucket", "--bucket", "cli-bucket", check=False)


def test_curl_fetches_a_presigned_url(place: Running) -> None:
    curl = needs("curl")
    s3 = place.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="a b.txt", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a b.txt"})
    done = subprocess.run([curl, "-sS", "--fail", url], capture_output=True, check=True, timeout=30)
    assert done.stdout == b"hello"
    tampered = subprocess.run([curl, "-sS", url + "0"], capture_output=True, text=True, check=True, timeout=30)
    assert "SignatureDoesNotMatch" in tampered.stdout


def test_an_s3_put_runs_a_function(place: Running) -> None:
    functions, s3 = place.client("lambda"), place.client("s3")
    s3.create_bucket(Bucket="triggers")
    code = """
import boto3, urllib.parse
def handler(event, context):
    for record in event["Records"]:
        bucket, key = record["s3"]["bucket"]["name"], urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        boto3.client("s3").put_object(Bucket=bucket, Key="out/" + key, Body=body.upper())
"""
    made = functions.create_function(
        FunctionName="upper", Runtime="python3.11", Handler="m.handler", Role=ROLE, Code={"ZipFile": zipped(m__py=code)}
    )
    functions.add_permission(
        FunctionName="upper", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    rules = [{"Name": "prefix", "Value": "in/"}]
    s3.put_bucket_notification_configuration(
        Bucket="triggers",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": made["FunctionArn"],
                    "Events": ["s3:ObjectCreated:Put"],
                    "Filter": {"Key": {"FilterRules": rules}},
                }
            ]
        },
    )
    s3.put_object(Bucket="triggers", Key="in/a b.txt", Body=b"shout")
    s3.get_waiter("object_exists").wait(
        Bucket="triggers", Key="out/in/a b.txt", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    assert s3.get_object(Bucket="triggers", Key="out/in/a b.txt")["Body"].read() == b"SHOUT"


def thing(place: Running, folder: Path, name: str) -> ssl.SSLContext:
    """A thing that may do everything under its own name; a TLS context with its certificate."""
    iot = place.client("iot")
    iot.create_thing(thingName=name)
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    arn = "arn:aws:iot:us-east-1:000000000000"
    statement = [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{arn}:client/{name}"},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": f"{arn}:topic/{name}/*"},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{arn}:topicfilter/{name}/*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iot.create_policy(policyName=f"{name}-policy", policyDocument=document)
    iot.attach_policy(policyName=f"{name}-policy", target=made["certificateArn"])
    with urllib.request.urlopen(f"{place.api}/_littoral/ca.pem") as answer:
        context = ssl.create_default_context(cadata=answer.read().decode())
    (folder / "crt").write_text(made["certificatePem"])
    (folder / "key").write_text(made["keyPair"]["PrivateKey"])
    context.load_cert_chain(folder / "crt", folder / "key")
    return context


@pytest.mark.parametrize(("version", "name"), [(paho.MQTTv311, "dev3"), (paho.MQTTv5, "dev5")])
def test_paho_over_tls_with_a_policy(place: Running, tmp_path: Path, version: int, name: str) -> None:
    heard: list[tuple[str, bytes]] = []
    changed = threading.Event()
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version)  # type: ignore[arg-type]
    client.tls_set_context(thing(place, tmp_path, name))
    client.on_connect = lambda *_: client.subscribe(f"{name}/+", 1)
    client.on_subscribe = lambda *_: changed.set()
    client.on_message = lambda _c, _d, m: (heard.append((m.topic, m.payload)), changed.set())
    client.connect("127.0.0.1", place.port("mqtt-tls"))
    client.loop_start()
    try:
        assert changed.wait(10)
        changed.clear()
        client.publish(f"{name}/x", b"hello", qos=1).wait_for_publish(10)
        assert changed.wait(10)
        assert heard == [(f"{name}/x", b"hello")]
        changed.clear()
        place.client("iot-data").publish(topic=f"{name}/y", qos=1, payload=b"from the cloud")
        assert changed.wait(10)
        assert heard[1] == (f"{name}/y", b"from the cloud")
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_device_without_a_certificate_is_refused(place: Running) -> None:
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id="stranger")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client.tls_set_context(context)
    refused = threading.Event()
    client.on_connect = lambda _c, _d, _f, reason, _p: refused.set() if reason.is_failure else None
    client.on_connect_fail = lambda *_: refused.set()
    client.on_disconnect = lambda *_: refused.set()
    try:
        client.connect("127.0.0.1", place.port("mqtt-tls"))
    except (ssl.SSLError, ConnectionError):
        return  # refused in the handshake
    client.loop_start()
    try:
        assert refused.wait(10)
        assert not client.is_connected()
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.fixture(scope="module")
def site(place: Running) -> str:
    """A distribution over a bucket, with a Node.js viewer-request function; its domain name."""
    s3, functions, cloudfront = place.client("s3"), place.client("lambda"), place.client("cloudfront")
    s3.create_bucket(Bucket="site")
    s3.put_object(Bucket="site", Key="index.html", Body=b"<h1>Tide</h1>", ContentType="text/html")
    s3.put_object(Bucket="site", Key="de/index.html", Body=b"<h1>Gezeiten</h1>", ContentType="text/html")
    code = """
exports.handler = async (event) => {
  const request = event.Records[0].cf.request;
  const language = request.headers["accept-language"]?.[0]?.value ?? "";
  if (language.startsWith("de")) request.uri = "/de" + request.uri;
  if (request.uri.endsWith("/")) request.uri += "index.html";
  return request;
};
"""
    functions.create_function(
        FunctionName="language",
        Runtime="nodejs20.x",
        Handler="index.handler",
        Role=ROLE,
        Code={"ZipFile": zipped(index__js=code)},
    )
    version = functions.publish_version(FunctionName="language")["FunctionArn"]
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "site",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    trigger = {"LambdaFunctionARN": version, "EventType": "viewer-request", "IncludeBody": False}
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": "site",
            "Comment": "",
            "Enabled": True,
            "Aliases": {"Quantity": 1, "Items": ["www.tide.example"]},
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "s3",
                        "DomainName": "site.s3.us-east-1.amazonaws.com",
                        "OriginAccessControlId": control,
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "s3",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
                "LambdaFunctionAssociations": {"Quantity": 1, "Items": [trigger]},
            },
        }
    )["Distribution"]
    cloudfront.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return str(made["DomainName"])


def curl(place: Running, host: str, path: str, *options: str, listener: str = "edge") -> tuple[dict[str, str], str]:
    scheme = "https" if listener == "edge-tls" else "http"
    port = place.port(listener)
    command = [needs("curl"), "-sS", "-i", "--connect-to", f"{host}:{port}:127.0.0.1:{port}", *options]
    done = subprocess.run([*command, f"{scheme}://{host}:{port}{path}"], capture_output=True, check=True, timeout=30)
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return {":status": lines[0].split()[1], **headers}, body


def test_curl_through_the_edge_misses_then_hits(place: Running, site: str) -> None:
    first, body = curl(place, site, "/index.html")
    assert (first[":status"], first.get("x-cache"), body) == ("200", "Miss from cloudfront", "<h1>Tide</h1>")
    again, _ = curl(place, site, "/index.html")
    assert again["x-cache"] == "Hit from cloudfront"
    assert int(again["age"]) >= 0
    unchanged, _ = curl(place, site, "/index.html", "-H", f"If-None-Match: {first['etag']}")
    assert unchanged[":status"] == "304"
    part, body = curl(place, site, "/index.html", "-r", "4-7")
    assert (part[":status"], body) == ("206", "Tide")


def test_the_node_function_rewrites_before_the_cache(place: Running, site: str) -> None:
    german, body = curl(place, site, "/", "-H", "Accept-Language: de-CH")
    assert (german[":status"], body) == ("200", "<h1>Gezeiten</h1>")
    assert curl(place, site, "/", "-H", "Accept-Language: en")[1] == "<h1>Tide</h1>"


def test_the_alias_is_served_over_tls(place: Running, site: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{place.api}/_littoral/ca.pem") as answer:
        (tmp_path / "ca.pem").write_bytes(answer.read())
    for host in (site, "www.tide.example"):
        trust = ("--cacert", str(tmp_path / "ca.pem"))
        headers, body = curl(place, host, "/index.html", *trust, listener="edge-tls")
        assert (headers[":status"], body) == ("200", "<h1>Tide</h1>")


def test_an_invalidation_takes_effect(place: Running, site: str) -> None:
    cloudfront, s3 = place.client("cloudfront"), place.client("s3")
    s3.put_object(Bucket="site", Key="news.html", Body=b"old", ContentType="text/html")
    assert curl(place, site, "/news.html")[1] == "old"
    s3.put_object(Bucket="site", Key="news.html", Body=b"new", ContentType="text/html")
    assert curl(place, site, "/news.html")[1] == "old"
    found = cloudfront.list_distributions()["DistributionList"]["Items"]
    identity = next(d["Id"] for d in found if d["DomainName"] == site)
    made = cloudfront.create_invalidation(
        DistributionId=identity,
        InvalidationBatch={"CallerReference": "1", "Paths": {"Quantity": 1, "Items": ["/news*"]}},
    )["Invalidation"]
    cloudfront.get_waiter("invalidation_completed").wait(
        DistributionId=identity, Id=made["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    assert curl(place, site, "/news.html")[1] == "new"


def test_an_unknown_host_is_refused(place: Running, site: str) -> None:
    headers, _ = curl(place, "nobody.example", "/")
    assert headers[":status"] in {"403", "404"}


def test_a_browser_shows_the_page(place: Running, site: str, tmp_path: Path) -> None:
    chromium = needs("chromium")
    port = place.port("edge")
    done = subprocess.run(
        [
            chromium,
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--host-resolver-rules=MAP {site} 127.0.0.1",
            "--accept-lang=en-US",
            "--dump-dom",
            f"http://{site}:{port}/",
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "<h1>Tide</h1>" in done.stdout, done.stderr[-2000:]


def test_what_is_not_there_says_so(place: Running) -> None:
    with pytest.raises(ClientError) as refused:
        place.client("s3").list_bucket_inventory_configurations(Bucket="site")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
