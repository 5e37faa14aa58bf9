"""The wire of tables: compressed bodies, the largest request, empty answers, browsers. Raw HTTP, signed by botocore."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.asked import Asked
from littoral.aws.dynamodbwire import PIECE, chosen, inflated
from littoral.net.message import BytesBody, Headers, Peer, Request
from tests.support.served import Served

MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def table(place: Served) -> None:
    status, _, body = send(
        place,
        "CreateTable",
        {
            "TableName": "wire",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        },
    )
    assert status == 200, body


def send(
    place: Served, operation: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, dict[str, str], bytes]:
    """``headers`` are added to what was signed."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = AWSRequest(method, place.url + "/", {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}, data)
    request.headers["Content-Type"] = "application/x-amz-json-1.0"
    SigV4Auth(Credentials(place.access_key, place.secret_key), "dynamodb", "us-east-1").add_auth(request)
    where = urlsplit(place.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        connection.request(method, "/", data, {**dict(request.headers.items()), **(headers or {})})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def put(name: str, **more: str) -> bytes:
    item = {"p": {"S": name}, **{key: {"S": value} for key, value in more.items()}}
    return json.dumps({"TableName": "wire", "Item": item}).encode()


def there(client: Any, name: str) -> bool:
    return "Item" in client.get_item(TableName="wire", Key={"p": {"S": name}})


@pytest.mark.parametrize(
    ("name", "encoding", "compress"),
    [
        ("whole", "gzip", gzip.compress),
        ("capitals", "GZIP", gzip.compress),
        ("two", "gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
        ("zlib", "deflate", zlib.compress),
        ("plain", "identity", bytes),
    ],
)
def test_a_compressed_request_is_inflated(place: Served, client: Any, name: str, encoding: str, compress: Any) -> None:
    status, _, body = send(place, "PutItem", compress(put(name, x="x" * 200_000)), {"Content-Encoding": encoding})
    assert (status, body) == (200, b"{}") and there(client, name)


@pytest.mark.parametrize(
    ("name", "encoding", "compress"),
    [
        ("not gzip", "gzip", bytes),
        ("not zlib", "deflate", bytes),
        ("junk behind", "gzip", lambda data: gzip.compress(data) + b"junk"),
        ("deflate twice", "deflate", lambda data: zlib.compress(data[:9]) + zlib.compress(data[9:])),
        ("cut short", "gzip", lambda data: gzip.compress(data)[:-1]),
        ("empty", "gzip", lambda data: b""),
        ("unknown", "br", bytes),
    ],
)
def test_what_cannot_be_inflated_is_a_500_as_on_aws(
    place: Served, client: Any, name: str, encoding: str, compress: Any
) -> None:
    status, _, body = send(place, "PutItem", compress(put(name)), {"Content-Encoding": encoding})
    assert status == 500 and b"InternalServerError" in body and not there(client, name)


def test_a_bomb_ends_at_the_limit_and_so_does_a_plain_request(place: Served, client: Any) -> None:
    long = put("long")[:-1] + b" " * (17 * MIB) + b"}"
    status, _, _ = send(place, "PutItem", gzip.compress(long), {"Content-Encoding": "gzip"})
    assert status == 413 and not there(client, "long")
    assert send(place, "PutItem", long)[0] == 413
    fits = put("fits")[:-1] + b" " * (15 * MIB) + b"}"
    assert send(place, "PutItem", fits)[0] == 200 and there(client, "fits")


@given(
    st.binary(max_size=3 * PIECE), st.lists(st.integers(1, 70_000), max_size=5), st.sampled_from(["gzip", "deflate"])
)
def test_whatever_was_compressed_comes_out(data: bytes, cuts: list[int], encoding: str) -> None:
    packed = gzip.compress(data * 3) if encoding == "gzip" else zlib.compress(data * 3)
    request = Request("POST", "/", Headers.of([("content-encoding", encoding)]), BytesBody(packed), Peer("", 0))
    body = inflated(Asked.of(request), Cut(packed, cuts))
    assert asyncio.run(body.read()) == data * 3


class Cut:
    """A body that comes in pieces."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        self._data, self._cuts = data, cuts

    async def __aiter__(self) -> Any:
        at = 0
        for cut in self._cuts:
            yield self._data[at : at + cut]
            at += cut
        yield self._data[at:]

    async def read(self, limit: int | None = None) -> bytes:
        return self._data


def test_a_long_answer_is_compressed_for_who_asks(place: Served) -> None:
    send(place, "PutItem", put("large", x="x" * 8000))
    key = {"TableName": "wire", "Key": {"p": {"S": "large"}}}
    _, headers, plain = send(place, "GetItem", key)
    assert "content-encoding" not in headers and len(plain) > 8000
    _, headers, packed = send(place, "GetItem", key, {"Accept-Encoding": "deflate;q=0.5, gzip"})
    assert headers["content-encoding"] == "gzip" and gzip.decompress(packed) == plain
    _, headers, packed = send(place, "GetItem", key, {"Accept-Encoding": "deflate"})
    assert headers["content-encoding"] == "deflate" and zlib.decompress(packed) == plain
    _, headers, _ = send(place, "DescribeTable", {"TableName": "wire"}, {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", None),
        ("br, identity, deflate, gzip", "deflate"),
        ("GZIP, identity", "gzip"),
        ("*", "gzip"),
        ("*, deflate", "deflate"),
        ("*, gzip;q=0.5", "deflate"),
        ("gzip ;q=0", None),
        ("*;q=0", None),
        ("gzip br", None),
        ("gzip;q=31,deflate;q=51", "gzip"),
        ("deflate;q=0.5,gzip;q=0.x", "gzip"),
        ("gzip;nq=0;q=1", None),
        ("gzip;q=0, gzip;q=1, gzip;q=0", "gzip"),
    ],
)
def test_the_encoding_is_chosen_by_weight(accepted: str, expected: str | None) -> None:
    assert chosen(accepted) == expected


def test_who_tags_gets_an_empty_body(place: Served, client: Any) -> None:
    arn = client.describe_table(TableName="wire")["Table"]["TableArn"]
    assert send(place, "TagResource", {"ResourceArn": arn, "Tags": [{"Key": "k", "Value": "v"}]})[::2] == (200, b"")
    assert send(place, "UntagResource", {"ResourceArn": arn, "TagKeys": ["k"]})[::2] == (200, b"")


def test_a_page_of_any_origin_may_call(place: Served) -> None:
    page = {"Origin": "http://page.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-amz-target"}
    where = urlsplit(place.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    connection.request("OPTIONS", "/", headers={**page, **asked})
    response = connection.getresponse()
    connection.close()
    assert response.status == 200 and response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == "POST"
    assert response.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
    assert response.headers["Access-Control-Max-Age"] == "172800"
    for operation in ("ListTables", "NoSuchThing"):
        _, headers, _ = send(place, operation, {}, page)
        assert headers["access-control-allow-origin"] == "*" and "access-control-max-age" not in headers
        assert "x-amzn-RequestId" in headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in send(place, "ListTables", {})[1]


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("DescribeTable", {"TableName": "nowhere"}, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"),
        ("GetItem", {"TableName": "wire", "Key": {}}, "com.amazon.coral.validate#ValidationException"),
        ("GetItem", b"{", "com.amazon.coral.service#SerializationException"),
        ("Nonsense", {}, "com.amazon.coral.service#UnknownOperationException"),
    ],
)
def test_the_type_of_an_error_has_its_namespace(place: Served, operation: str, body: Any, expected: str) -> None:
    status, _, answer = send(place, operation, body)
    assert (status, json.loads(answer)["__type"]) == (400, expected)
