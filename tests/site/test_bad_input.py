"""Bad input to the API listener of a running place: HTTP, signatures, services, operations, fields, lengths.

Every test ends with ``calm``: the place answers as before and wrote no traceback.
"""

from __future__ import annotations

import datetime
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .conftest import ROLE, Running
from .test_clients import zipped

ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture(autouse=True)
def calm(place: Running) -> Iterator[None]:
    """After each test the place is ready, answers a signed call, and has logged no traceback during it."""
    before = place.process.log.stat().st_size
    yield
    place.process.check_alive()
    with urllib.request.urlopen(f"{place.api}/_littoral/ready", timeout=10) as answer:
        assert answer.status == 200
    assert place.client("sts").get_caller_identity()["Account"] == "000000000000"
    with place.process.log.open(errors="replace") as log:
        log.seek(before)
        written = log.read()
    assert "Traceback" not in written, written[-6000:]


def code_of(work: Callable[[], Any]) -> tuple[str, int]:
    """Error code and HTTP status that a boto3 call is refused with."""
    with pytest.raises(ClientError) as refused:
        work()
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def exchange(port: int, sent: bytes, *, close: bool = True) -> bytes:
    """Everything that the listener answers to these bytes until it ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        try:
            raw.sendall(sent)
            if close:
                raw.shutdown(socket.SHUT_WR)
        except OSError:  # refused while we were still sending; ENOTCONN where the reset came before the shutdown
            return b""
        answer = b""
        try:
            while chunk := raw.recv(65536):
                answer += chunk
        except ConnectionResetError:
            return answer
        return answer


def api_port(place: Running) -> int:
    return int(place.api.rsplit(":", 1)[1])


MALFORMED = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "bad version": b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n c\r\n\r\n",
    "nul in header": b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n",
    "length and chunked": b"PUT /b/k HTTP/1.1\r\nhost: a\r\n"
    b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /b/k HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "negative length": b"PUT /b/k HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "huge length": b"PUT /b/k HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "bad chunk size": b"PUT /b/k HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "unknown coding": b"PUT /b/k HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nabc",
    "huge target": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    "huge headers": b"GET / HTTP/1.1\r\nhost: a\r\nx-a: " + b"b" * 70_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x-a: b\r\n" * 500 + b"\r\n",
    "bad escape": b"GET /%zz%ff%00 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "bad query": b"GET /?%ff=%zz&&=&list-type=%00 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "bytes in target": b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n",
}


@pytest.mark.parametrize("listener", ["api", "edge"])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_a_4xx_or_a_closed_connection(place: Running, name: str, listener: str) -> None:
    answer = exchange(place.port(listener), MALFORMED[name])
    if answer:
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status <= 505 and status != 500, answer[:300]


def test_a_body_that_ends_early_stores_nothing(place: Running) -> None:
    s3 = place.client("s3")
    s3.create_bucket(Bucket="cut-short")
    signed = signed_request(place, "PUT", "/cut-short/half", b"x" * 100_000)
    exchange(api_port(place), raw_request(signed)[:-50_000])
    assert code_of(lambda: s3.get_object(Bucket="cut-short", Key="half"))[0] == "NoSuchKey"
    assert s3.list_objects_v2(Bucket="cut-short")["KeyCount"] == 0


def test_slow_clients_do_not_hold_up_others(place: Running) -> None:
    held = [socket.create_connection(("127.0.0.1", place.port(name)), timeout=10) for name in ("api", "edge") * 50]
    try:
        for number, one in enumerate(held):
            one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: "[: 1 + number % 30])
        assert place.client("s3").list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    finally:
        for one in held:
            one.close()


# ------------------------------------------------------------------------------------------- signatures


def signed_request(
    place: Running,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    service: str = "s3",
    headers: dict[str, str] | None = None,
    secret: str = "",
) -> AWSRequest:
    request = AWSRequest(method, f"{place.api}{path}", headers=headers or {}, data=body)
    if service == "s3":
        import hashlib

        request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    keys = Credentials(place.access_key, secret or place.secret_key)
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    return request


def raw_request(request: AWSRequest) -> bytes:
    prepared = request.prepare()
    path = "/" + prepared.url.split("/", 3)[3]
    body = prepared.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    host = prepared.url.split("/")[2]
    lines = [f"{prepared.method} {path} HTTP/1.1", f"host: {host}", "connection: close"]
    texts = {n.lower(): v.decode() if isinstance(v, bytes) else v for n, v in prepared.headers.items()}
    texts["content-length"] = str(len(body))
    lines += [f"{name}: {value}" for name, value in texts.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_wrong_secret_and_an_unknown_key(place: Running) -> None:
    for service, operation, wrong, unknown in (
        ("s3", "list_buckets", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
        ("lambda", "list_functions", "InvalidSignatureException", "UnrecognizedClientException"),
        ("iot", "list_things", "InvalidSignatureException", "UnrecognizedClientException"),
    ):
        for key, secret, expected in (
            (place.access_key, "0" * 40, wrong),
            ("AKIAUNKNOWNUNKNOWN00", place.secret_key, unknown),
        ):
            client = boto3.client(
                service,
                endpoint_url=place.api,
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=Config(retries={"total_max_attempts": 1}),
            )
            found, status = code_of(getattr(client, operation))
            assert (found, status) == (expected, 403), service


def test_unsigned_requests_are_refused(place: Running) -> None:
    for service, operation in (("s3", "list_buckets"), ("lambda", "list_functions")):
        client = place.client(service, signature_version=UNSIGNED)
        assert code_of(getattr(client, operation))[1] == 403
    client = place.client("iot", signature_version=UNSIGNED)  # GET /things, unsigned, is a bucket's name
    assert code_of(client.list_things)[1] == 404


@pytest.mark.parametrize("minutes", [-20, 20])
@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("s3", "list_buckets", "RequestTimeTooSkewed"),
        ("lambda", "list_functions", "InvalidSignatureException"),
        ("iot", "list_things", "InvalidSignatureException"),
    ],
)
def test_a_client_whose_clock_is_off(
    place: Running, monkeypatch: pytest.MonkeyPatch, service: str, operation: str, expected: str, minutes: int
) -> None:
    shifted = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: shifted.replace(tzinfo=None))
    # with awscrt installed botocore signs by it
    monkeypatch.setattr("botocore.crt.auth.get_current_datetime", lambda **_: shifted)
    client = place.client(service)
    found, status = code_of(getattr(client, operation))
    assert found == expected
    assert status == 403
    monkeypatch.undo()


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=zz",
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=, Signature=00",
        "Basic dXNlcjpwYXNz",
        "AWS AKIA:signature",
        "\xff\xfe",
        "AWS4-HMAC-SHA256 " + "Credential=x," * 500,
    ],
)
def test_a_malformed_authorization_header(place: Running, value: str) -> None:
    sent = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
    answer = exchange(api_port(place), sent + b"authorization: " + value.encode("latin-1") + b"\r\n\r\n", close=False)
    status = int(answer.split(b" ", 2)[1])
    assert status in {400, 403}, answer[:300]
    assert b"<Code>" in answer


def test_a_body_changed_on_the_way_is_not_stored(place: Running) -> None:
    s3 = place.client("s3")
    s3.create_bucket(Bucket="changed")
    raw = raw_request(signed_request(place, "PUT", "/changed/key", b"honest words"))
    answer = exchange(api_port(place), raw.replace(b"honest words", b"forged words"))
    assert b"XAmzContentSHA256Mismatch" in answer, answer
    assert s3.list_objects_v2(Bucket="changed")["KeyCount"] == 0


# ----------------------------------------------------------------------- services, operations, fields, lengths


@pytest.mark.parametrize("service", ["sns", "ec2", "sqs", "firehose", "apigateway"])
def test_a_service_that_is_not_here_is_501(place: Running, service: str) -> None:
    request = signed_request(place, "POST", "/", b"{}", service=service)
    answer = exchange(api_port(place), raw_request(request), close=False)
    assert answer.split(b" ", 2)[1] == b"501"
    assert b"NotImplemented" in answer


@pytest.mark.parametrize(("service", "operation"), [("ecs", "list_clusters"), ("sqs", "list_queues")])
def test_json_clients_understand_that_a_service_is_not_here(place: Running, service: str, operation: str) -> None:
    assert code_of(getattr(place.client(service), operation)) == ("NotImplemented", 501)


ACCELERATION = {"Bucket": "any", "AccelerateConfiguration": {"Status": "Enabled"}}
SIGNING = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0"


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("s3", "put_bucket_accelerate_configuration", ACCELERATION),
        ("s3", "list_bucket_inventory_configurations", {"Bucket": "any"}),
        ("s3", "select_object_content", None),
        ("lambda", "list_code_signing_configs", {}),
        ("lambda", "list_functions_by_code_signing_config", {"CodeSigningConfigArn": SIGNING}),
        ("iot", "list_detect_mitigation_actions_tasks", {"startTime": 0, "endTime": 1}),
        ("iot", "list_audit_findings", {}),
        ("cloudfront", "list_anycast_ip_lists", {}),
        ("sts", "get_session_token", {}),
    ],
)
def test_an_operation_that_is_not_here(
    place: Running, service: str, operation: str, arguments: dict[str, Any] | None
) -> None:
    if arguments is None:
        arguments = {
            "Bucket": "any",
            "Key": "k",
            "Expression": "select 1",
            "ExpressionType": "SQL",
            "InputSerialization": {"CSV": {}},
            "OutputSerialization": {"CSV": {}},
        }
    code, status = code_of(lambda: getattr(place.client(service), operation)(**arguments))
    assert status == 501, (code, status)
    assert "NotImplemented" in code


def function_arguments(**more: Any) -> dict[str, Any]:
    plain = {"Runtime": "python3.11", "Handler": "m.handler", "Role": ROLE, "Code": {"ZipFile": zipped(m__py=ECHO)}}
    return {"FunctionName": "never", **plain, **more}


ACCESS_POINT = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"
FILES = {"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/a"}
NOT_HONOURED: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "s3 sse": ("s3", "put_object", lambda: put(SSEKMSEncryptionContext="e30=")),
    "s3 grant": ("s3", "put_object", lambda: put(GrantRead="id=somebody")),
    "s3 acl": ("s3", "put_object", lambda: put(ACL="public-read")),
    "s3 checksum": ("s3", "put_object", lambda: put(ChecksumSHA512="AAAA")),
    "s3 encryption context": ("s3", "put_object", lambda: put(SSEKMSEncryptionContext="e30=")),
    "s3 versioning": (
        "s3",
        "put_bucket_versioning",
        lambda: {"Bucket": "fields", "VersioningConfiguration": {"Status": "Enabled", "MFADelete": "Enabled"}},
    ),
    "s3 append": ("s3", "put_object", lambda: put(WriteOffsetBytes=3)),
    "s3 version": ("s3", "get_object", lambda: {"Bucket": "fields", "Key": "k", "VersionId": "abc"}),
    "s3 bucket acl": ("s3", "create_bucket", lambda: {"Bucket": "never", "ACL": "public-read"}),
    "s3 bucket grant": ("s3", "create_bucket", lambda: {"Bucket": "never", "GrantRead": "id=somebody"}),
    "lambda layers": ("lambda", "create_function", lambda: function_arguments(Layers=[LAYER])),
    "lambda vpc": ("lambda", "create_function", lambda: function_arguments(VpcConfig={"SubnetIds": ["subnet-1"]})),
    "lambda dlq": ("lambda", "create_function", lambda: function_arguments(DeadLetterConfig={"TargetArn": QUEUE})),
    "lambda file system": ("lambda", "create_function", lambda: function_arguments(FileSystemConfigs=[FILES])),
    "lambda image": ("lambda", "create_function", lambda: function_arguments(PackageType="Image")),
    "lambda snapstart": (
        "lambda",
        "create_function",
        lambda: function_arguments(SnapStart={"ApplyOn": "PublishedVersions"}),
    ),
    "iot billing group": ("iot", "create_thing", lambda: {"thingName": "never", "billingGroupName": "b"}),
    "iot sql action": (
        "iot",
        "create_topic_rule",
        lambda: {
            "ruleName": "never",
            "topicRulePayload": {
                "sql": "SELECT * FROM 'a'",
                "actions": [{"sqs": {"roleArn": ROLE, "queueUrl": "https://sqs/q"}}],
            },
        },
    ),
    "cloudfront logging": (
        "cloudfront",
        "create_distribution",
        lambda: distribution(
            Logging={"Enabled": True, "IncludeCookies": False, "Bucket": "b.s3.amazonaws.com", "Prefix": ""}
        ),
    ),
    "cloudfront waf": ("cloudfront", "create_distribution", lambda: distribution(WebACLId="arn:aws:wafv2:x")),
    "greengrass job": (
        "greengrassv2",
        "create_deployment",
        lambda: {
            "targetArn": "arn:aws:iot:us-east-1:000000000000:thing/t",
            "iotJobConfiguration": {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}},
        },
    ),
    "greengrass group": (
        "greengrassv2",
        "create_deployment",
        lambda: {"targetArn": "arn:aws:iot:us-east-1:000000000000:thinggroup/g"},
    ),
}
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:l:1"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


def put(**more: Any) -> dict[str, Any]:
    return {"Bucket": "fields", "Key": "k", "Body": b"x", **more}


def distribution(**more: Any) -> dict[str, Any]:
    origin = {
        "Id": "o",
        "DomainName": "origin.example",
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"},
    }
    return {
        "DistributionConfig": {
            "CallerReference": "never",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "o",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
            },
            **more,
        }
    }


@pytest.fixture(scope="module")
def fields(place: Running) -> None:
    place.client("s3").create_bucket(Bucket="fields")


@pytest.mark.parametrize("name", NOT_HONOURED)
def test_a_field_that_is_not_honoured_is_refused_and_nothing_is_made(place: Running, fields: None, name: str) -> None:
    service, operation, arguments = NOT_HONOURED[name]
    code, status = code_of(lambda: getattr(place.client(service), operation)(**arguments()))
    assert status in {400, 404, 501}, (code, status)
    if status != 501:  # then by the service's own code for what it does not take
        assert code not in {"InternalError", "InternalFailure"}
    assert "never" not in [b["Name"] for b in place.client("s3").list_buckets()["Buckets"]]
    left = place.client("s3").list_objects_v2(Bucket="fields")
    assert left["KeyCount"] == 0, left
    assert not place.client("lambda").list_functions()["Functions"]
    assert not place.client("iot").list_things()["things"]
    assert not place.client("cloudfront").list_distributions()["DistributionList"].get("Items")


def test_wrong_types_in_a_json_body(place: Running) -> None:
    for body in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"Runtime": 7}',
        b'{"FunctionName":"x","Code":"notastruct","Role":[]}',
        b'{"FunctionName":"x","Timeout":"soon","Role":"r","Code":{}}',
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"FunctionName":"x","MemorySize":1e999,"Role":"r","Code":{}}',
        b'{"FunctionName":"x","MemorySize":' + b"9" * 6000 + b',"Role":"r","Code":{}}',
        b'{"FunctionName":"\\ud800","Role":"r","Code":{}}',
    ):
        request = signed_request(place, "POST", "/2015-03-31/functions", body, service="lambda")
        answer = exchange(api_port(place), raw_request(request), close=False)
        assert answer.split(b" ", 2)[1] == b"400", (body[:60], answer[:400])
        assert b"Exception" in answer


def test_wrong_xml_bodies(place: Running, fields: None) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><Delete>&b;</Delete>'
    for body in (b"", b"<", b"<a></b>", bomb, b"\xff", b"<Delete>" * 5000, b"<Wrong/>"):
        import base64
        import hashlib

        digest = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        request = signed_request(place, "POST", "/fields?delete=", body, headers=digest)
        answer = exchange(api_port(place), raw_request(request), close=False)
        assert answer.split(b" ", 2)[1] == b"400", (body[:60], answer[:400])
        assert b"<Code>MalformedXML</Code>" in answer or b"<Code>" in answer
    for path, service in (("/2020-05-31/distribution", "cloudfront"),):
        for body in (b"", b"<", bomb, b"<DistributionConfig>" * 5000, b"<DistributionConfig/>"):
            request = signed_request(place, "POST", path, body, service=service)
            answer = exchange(api_port(place), raw_request(request), close=False)
            assert answer.split(b" ", 2)[1] == b"400", (body[:60], answer[:400])


def test_names_that_are_too_long_or_wrong(place: Running, fields: None) -> None:
    s3, functions, iot = place.client("s3"), place.client("lambda"), place.client("iot")

    assert code_of(lambda: s3.put_object(Bucket="fields", Key="k" * 1025, Body=b""))[0] == "KeyTooLongError"
    metadata = {"a": "b" * 3000}
    assert (
        code_of(lambda: s3.put_object(Bucket="fields", Key="k", Body=b"", Metadata=metadata))[0] == "MetadataTooLarge"
    )
    for name in ("a" * 64, "ab", "Upper", "a..b", "192.168.0.1", "xn--a", "a_b"):
        raw = raw_request(signed_request(place, "PUT", f"/{name}"))
        answer = exchange(api_port(place), raw, close=False)
        assert b"InvalidBucketName" in answer, (name, answer[:300])
    long = function_arguments(FunctionName="f" * 200)
    assert code_of(lambda: functions.create_function(**long))[1] == 400
    assert code_of(lambda: functions.create_function(**function_arguments(FunctionName="a b")))[1] == 400
    assert code_of(lambda: functions.create_function(**function_arguments(Handler="h" * 200)))[1] == 400
    assert code_of(lambda: functions.create_function(**function_arguments(Timeout=901)))[1] == 400
    assert code_of(lambda: functions.create_function(**function_arguments(Runtime="cobol85")))[1] == 400
    assert code_of(lambda: functions.create_function(**function_arguments(Role="nobody")))[1] == 400
    for thing in ("t" * 129, "a b", "a/b"):
        assert code_of(lambda thing=thing: iot.create_thing(thingName=thing))[0] == "InvalidRequestException"
    policy = {"policyName": "p", "policyDocument": "{" * 3000}
    assert code_of(lambda: iot.create_policy(**policy))[0] == "MalformedPolicyException"
    assert code_of(lambda: iot.create_policy(policyName="p", policyDocument="{}"))[0] == "MalformedPolicyException"
    assert not functions.list_functions()["Functions"]
    assert not iot.list_things()["things"]
    assert not iot.list_policies()["policies"]


def test_shadows_and_topics_that_are_wrong(place: Running) -> None:
    data = place.client("iot-data")
    for document in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"state": 7}',
        b'{"state":{"desired":' + b'{"a":' * 9 + b"1" + b"}" * 11,
    ):
        code, status = code_of(lambda d=document: data.update_thing_shadow(thingName="t", payload=d))
        assert (code, status) == ("InvalidRequestException", 400), document
    large = json.dumps({"state": {"desired": {"a": "x" * 9000}}}).encode()
    code, status = code_of(lambda: data.update_thing_shadow(thingName="t", payload=large))
    assert (code, status) == ("RequestEntityTooLargeException", 413)
    assert code_of(lambda: data.get_thing_shadow(thingName="t"))[0] == "ResourceNotFoundException"
    for topic in ("a/+", "a/#", "t" * 257, "a/" * 9 + "b"):
        assert code_of(lambda t=topic: data.publish(topic=t, payload=b""))[1] == 400
    assert code_of(lambda: data.publish(topic="a", payload=b"x" * (128 * 1024 + 1)))[1] in {400, 413}


def test_the_aws_cli_shows_the_modelled_error(place: Running) -> None:
    shown = place.aws("lambda", "get-function", "--function-name", "nobody", check=False)
    assert "(ResourceNotFoundException)" in shown
    shown = place.aws("s3api", "get-object", "--bucket", "nowhere-at-all", "--key", "k", "/dev/null", check=False)
    assert "(NoSuchBucket)" in shown
