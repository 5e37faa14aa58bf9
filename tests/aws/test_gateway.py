"""The gateway with small APIs: bad bodies in every protocol, devices, identity, coverage, and clients over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config

from littoral.aws import coverage
from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey, Identity
from littoral.aws.service import Call, Output, operation
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.store.embedded import EmbeddedStore
from tests.support.served import served

ACCOUNT = "000000000000"


class Buckets:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.stored: dict[str, bytes] = {}

    @operation()
    async def put_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        body: Any = None,
        checksum_algorithm: str | None = None,
        content_encoding: str | None = None,
    ) -> Output:
        data = await body.read() if body is not None else b""
        self.calls.append(call)
        self.stored[f"{bucket}/{key}"] = data
        return {}

    @operation(notes="versions are left out")
    async def delete_objects(self, call: Call, *, bucket: str, delete: dict[str, Any]) -> Output:
        return {"Deleted": [{"Key": each["Key"]} for each in delete["Objects"]]}

    @operation(harmless={"RequestPayer"})
    async def list_objects_v2(self, call: Call, *, bucket: str, max_keys: int = 1000) -> Output:
        return {"Name": bucket, "MaxKeys": max_keys}


class Functions:
    @operation()
    async def create_alias(
        self,
        call: Call,
        *,
        function_name: str,
        name: str,
        function_version: str,
        description: str = "",
        routing_config: dict[str, Any] | None = None,
    ) -> Output:
        return {"Name": name, "Description": description}


class Shadows:
    @operation()
    async def publish(self, call: Call, *, topic: str, qos: int = 0, payload: bytes = b"") -> Output:
        return {}


class Firewall:
    """A service whose shapes recurse."""

    @operation()
    async def check_capacity(self, call: Call, *, scope: str, rules: list[dict[str, Any]]) -> Output:
        return {"Capacity": 1}


@pytest.fixture
def gateway() -> Gateway:
    """Takes any caller; signatures are tested elsewhere."""
    services = {
        "s3": Buckets(),
        "lambda": Functions(),
        "iot-data": Shadows(),
        "wafv2": Firewall(),
    }
    return Gateway(
        services, Identity(AccessKey("AKIA", "s"), ACCOUNT, verify=False), region="us-east-1", account=ACCOUNT
    )


def ask(gateway: Gateway, request: Request, *, device: bool = False) -> Response:
    async def answer() -> Response:
        result = gateway.handle_device(request) if device else gateway.handle(request)
        return result if isinstance(result, Response) else await result  # type: ignore[misc]

    return asyncio.run(answer())


def wire(method: str, target: str, body: bytes = b"", *, certificate: bytes | None = None, **headers: str) -> Request:
    pairs = [("host", "127.0.0.1"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    peer = Peer("127.0.0.1", 1, tls=certificate is not None, certificate=certificate)
    return Request(method, target, Headers.of(pairs), BytesBody(body), peer)


ALIAS = "/2015-03-31/functions/f/aliases"
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
KEY_OF = "<Delete><Object><Key>k</Key></Object></Delete>"


def alias(**change: Any) -> bytes:
    return json.dumps({"Name": "live", "FunctionVersion": "1", **change}).encode()


def refused(response: Response) -> tuple[int, str]:
    assert isinstance(response.body, bytes)
    text = response.body.decode()
    return response.status, response.headers.get("x-amzn-errortype") or text.partition("<Code>")[2].partition("<")[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "InvalidRequestContentException"),
        (b"\xff\xfe", "InvalidRequestContentException"),
        (b"[]", "InvalidRequestContentException"),
        (b'{"a":' * 100_000, "InvalidRequestContentException"),
        (b"1" * 5000, "InvalidRequestContentException"),
        (alias(FunctionVersion=1), "InvalidRequestContentException"),
        (alias(Description="\ud800"), "InvalidRequestContentException"),
        (b'{"Description": "\xed\xa0\x80"}', "InvalidRequestContentException"),
        (alias(RoutingConfig={"AdditionalVersionWeights": {"1": []}}), "InvalidRequestContentException"),
        (alias(RoutingConfig={"AdditionalVersionWeights": []}), "InvalidRequestContentException"),
        (alias(RoutingConfig=[]), "InvalidRequestContentException"),
        (alias(RoutingConfig={"AdditionalVersionWeights": {"1": 2}}), "ValidationException"),
        (alias(Name="a b"), "ValidationException"),
        (alias(Description="x" * 300), "ValidationException"),
        (b"{}", "ValidationException"),
    ],
)
def test_bad_json(gateway: Gateway, body: bytes, code: str) -> None:
    assert refused(ask(gateway, wire("POST", ALIAS, body))) == (400, code)


def test_what_the_model_does_not_have_is_refused_by_name_and_what_the_path_says_may_be_said_twice(
    gateway: Gateway,
) -> None:
    response = ask(gateway, wire("POST", ALIAS, alias(RoutingConfig={"AdditionalVersionWeights": {}, "New": 1})))
    assert refused(response) == (501, "NotImplemented")
    assert "CreateAlias: the field RoutingConfig.New is" in json.loads(response.body)["message"]  # type: ignore[arg-type]
    assert ask(gateway, wire("POST", ALIAS, alias(FunctionName="f"))).status == 201


def test_an_astral_character_written_as_a_pair_is_taken(gateway: Gateway) -> None:
    response = ask(gateway, wire("POST", ALIAS, alias(Description="😀")))
    assert (response.status, json.loads(response.body)["Description"]) == (201, "😀")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Delete>", "MalformedXML"),
        (b"\x00", "MalformedXML"),
        (b"{}", "MalformedXML"),
        (LAUGHS.encode(), "MalformedXML"),
        (("<!--" + "x" * 2000 + "-->" + LAUGHS).encode(), "MalformedXML"),
        (('<?xml version="1.0" encoding="UTF-16"?>' + LAUGHS).encode("utf-16"), "MalformedXML"),
        (KEY_OF.encode("utf-16"), "MalformedXML"),
        (b"<Delete>" + b"<Object>" * 50_000, "MalformedXML"),
        (b"<Delete></Delete>", "MalformedXML"),
        (b"<Delete><Quiet>true</Quiet><Quiet>false</Quiet><Object><Key>k</Key></Object></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key>k<b>l</b></Key></Object></Delete>", "MalformedXML"),
        (b"<Delete><New>1</New><Object><Key>k</Key></Object></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key>k</Key><New>1</New></Object></Delete>", "MalformedXML"),
        (b"<Delete><Quiet>maybe</Quiet></Delete>", "InvalidArgument"),
    ],
)
def test_bad_xml(gateway: Gateway, body: bytes, code: str) -> None:
    assert refused(ask(gateway, wire("POST", "/b?delete", body))) == (400, code)


def test_a_document_that_is_too_large_is_not_said_to_be_cut_off(gateway: Gateway) -> None:
    large = b" " * (16 * 1024 * 1024) + KEY_OF.encode()
    assert refused(ask(gateway, wire("POST", "/b?delete", large))) == (400, "MaxMessageLengthExceeded")


def test_good_xml_with_a_byte_order_mark_is_taken(gateway: Gateway) -> None:
    response = ask(gateway, wire("POST", "/b?delete", b"\xef\xbb\xbf" + KEY_OF.encode()))
    assert response.status == 200
    assert b"<Key>k</Key>" in response.body  # type: ignore[operator]


@pytest.mark.parametrize("number", ["", "x", "1_0", "²", "1.5", "9" * 30, "9" * 5000, "2147483648"])
def test_bad_numbers_in_a_query(gateway: Gateway, number: str) -> None:
    response = ask(gateway, wire("GET", f"/b?list-type=2&max-keys={quote(number)}"))
    assert refused(response) == (400, "InvalidArgument")


def test_shapes_that_recurse_have_an_end(gateway: Gateway) -> None:
    def statement(depth: int) -> bytes:
        inner = b'{"NotStatement":{"Statement":' * depth + b"{}" + b"}}" * depth
        return b'{"Scope":"REGIONAL","Rules":[{"Name":"a","Priority":0,"VisibilityConfig":%b,"Statement":%b}]}' % (
            b'{"SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true,"MetricName":"m"}',
            inner,
        )

    target = "AWSWAF_20190729.CheckCapacity"
    assert ask(gateway, wire("POST", "/", statement(3), x_amz_target=target)).status == 200
    response = ask(gateway, wire("POST", "/", statement(400), x_amz_target=target))
    assert response.status == 400
    assert b"SerializationException" in response.body  # type: ignore[operator]


@pytest.mark.parametrize("length", ["", "²", "-1", "9" * 5000])
def test_a_decoded_length_that_is_none(gateway: Gateway, length: str) -> None:
    request = wire("PUT", "/b/k", b"0\r\n\r\n", x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    request.headers.set("x-amz-decoded-content-length", length)
    assert refused(ask(gateway, request)) == (411, "MissingContentLength")


def test_a_coding_that_is_not_known(gateway: Gateway) -> None:
    request = wire("PUT", "/b/k", b"", x_amz_content_sha256="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
    assert refused(ask(gateway, request)) == (501, "NotImplemented")


# ------------------------------------------------------------------------------------------------ devices


def test_devices_are_known_by_their_certificate_and_reach_their_services_only(gateway: Gateway) -> None:
    seen: list[Call] = []

    class Bucket:
        @operation()
        async def get_object(self, call: Call, *, bucket: str, key: str) -> Output:
            seen.append(call)
            return {"Body": b"x"}

    certificate = b"a certificate's DER form"
    identity = Identity(AccessKey("AKIA", "s"), ACCOUNT, verify=True)
    services = {"s3": Bucket(), "lambda": Functions(), "iot-data": Recorder(seen)}
    gateway = Gateway(services, identity, region="us-east-1", account=ACCOUNT)
    assert ask(gateway, wire("POST", "/topics/ward%2F7", b"1"), device=True).status == 401
    request = wire("POST", "/topics/ward%2F7?qos=1", b"1", certificate=certificate)
    assert ask(gateway, request, device=True).status == 200
    identifier = hashlib.sha256(certificate).hexdigest()
    assert (seen[0].principal.kind, seen[0].principal.name) == ("certificate", identifier)
    assert seen[0].principal.arn == f"arn:aws:iot:us-east-1:000000000000:cert/{identifier}"
    # a certificate is no key to S3, and Lambda is not there at all
    assert refused(ask(gateway, wire("GET", "/b/k", certificate=certificate), device=True))[0] == 403
    response = ask(gateway, wire("POST", ALIAS, alias(), certificate=certificate), device=True)
    assert 400 <= response.status < 500
    assert len(seen) == 1


class Recorder:
    def __init__(self, seen: list[Call]) -> None:
        self._seen = seen

    @operation()
    async def publish(self, call: Call, *, topic: str, qos: int = 0, payload: bytes = b"") -> Output:
        self._seen.append(call)
        return {}


# ---------------------------------------------------------------------------------------- identity, coverage


async def test_the_root_key_lasts_and_is_of_the_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        store = await EmbeddedStore.open(tmp_path / "store")
        first = await Identity.open(store.records("identity"))
        both = await asyncio.gather(*(Identity.open(store.records("identity")) for _ in range(3)))
        await store.close()
        store = await EmbeddedStore.open(tmp_path / "store")
        again = await Identity.open(store.records("identity"))
        other = await Identity.open(store.records("elsewhere"))
        await store.close()
    assert all(each.root == first.root for each in [*both, again])
    assert other.root.id != first.root.id
    assert len(first.root.id) == 20 and first.root.id.startswith("AKIA")
    assert first.root.secret not in caplog.text + repr(first) + repr(first.root)


async def test_first_starts_at_the_same_time_agree(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")
    found = await asyncio.gather(*(Identity.open(store.records("identity")) for _ in range(4)))
    await store.close()
    assert len({each.root.id for each in found}) == 1


def test_coverage_says_what_is_there_and_what_is_not() -> None:
    found = coverage.of("s3", Buckets())
    assert [each.name for each in found.there] == ["DeleteObjects", "ListObjectsV2", "PutObject"]
    assert "GetObject" in found.missing
    text = coverage.text({"s3": found})
    assert text.startswith(f"s3: 3 of {3 + len(found.missing)} operations\n")
    after = text.partition("  ListObjectsV2\n")[2].partition("  PutObject\n")[0]
    assert "refused: " in after and "Prefix" in after and "ignored, harmless: RequestPayer" in after
    assert "versions are left out" in text
    assert "not there (NotImplemented): " in text


# -------------------------------------------------------------------------------------------- over HTTP


def test_boto3_sends_its_checksum_behind_the_body_over_tls(tmp_path: Path) -> None:
    """STREAMING-UNSIGNED-PAYLOAD-TRAILER: botocore takes it over TLS only; over plain HTTP it sends a header."""
    authority = Authority.load_or_create(tmp_path, "test")
    issued = authority.issue_server(["127.0.0.1"])
    api = Buckets()
    content = bytes(range(256)) * 1200
    with served({"s3": api}, tls=server_context((issued.certificate, issued.private_key))) as place:
        client = boto3.client(
            "s3", verify=str(tmp_path / "ca.pem"), config=Config(s3={"addressing_style": "path"}), **place.client_kwargs
        )
        client.put_object(Bucket="b", Key="k", Body=content, ChecksumAlgorithm="CRC32")
    assert api.stored == {"b/k": content}
    sent = api.calls[0].request.headers
    assert sent.get("x-amz-content-sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert list(api.calls[0].trailers) == ["x-amz-checksum-crc32"]


def test_the_cli_knows_who_it_is_and_a_wrong_secret_does_not() -> None:
    with served({}) as place:
        argv = [str(Path(sys.executable).parent / "aws"), "sts", "get-caller-identity"]
        base = {"PATH": "/usr/bin:/bin", **place.env}
        done = subprocess.run(argv, env=base, capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout)["Arn"] == "arn:aws:iam::000000000000:root"
        wrong = {**base, "AWS_SECRET_ACCESS_KEY": "wrong"}
        refused = subprocess.run(argv, env=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "(SignatureDoesNotMatch)" in refused.stderr
