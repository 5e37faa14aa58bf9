"""The corner cases of each protocol as tables: what is on the wire beside what it means, both ways.

botocore ships no conformance cases in its package, so these are ours, on a small model of our own with every trait
that the protocols know: locations, flattened and wrapped lists and maps, renamed members, attributes, namespaces,
timestamp formats, blobs, payloads, JSON values.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Any

import pytest

from littoral.aws import models, routes
from littoral.aws.asked import Asked
from littoral.aws.input import input_of, read_body
from littoral.aws.output import response_of
from littoral.aws.service import ServiceError
from littoral.aws.wire.plan import plan_of
from littoral.net.message import BytesBody, Headers, Peer, Request

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

SHAPES: dict[str, Any] = {
    "Text": {"type": "string"},
    "Number": {"type": "integer"},
    "Real": {"type": "double"},
    "Flag": {"type": "boolean"},
    "Blob": {"type": "blob"},
    "Time": {"type": "timestamp"},
    "IsoTime": {"type": "timestamp", "timestampFormat": "iso8601"},
    "HttpTime": {"type": "timestamp", "timestampFormat": "rfc822"},
    "UnixTime": {"type": "timestamp", "timestampFormat": "unixTimestamp"},
    "Texts": {"type": "list", "member": {"shape": "Text"}},
    "NamedTexts": {"type": "list", "member": {"shape": "Text", "locationName": "Item"}},
    "FlatTexts": {"type": "list", "flattened": True, "member": {"shape": "Text"}},
    "Map": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}},
    "FlatMap": {
        "type": "map",
        "flattened": True,
        "key": {"shape": "Text", "locationName": "K"},
        "value": {"shape": "Text", "locationName": "V"},
    },
    "Inner": {
        "type": "structure",
        "members": {"A": {"shape": "Text"}, "Next": {"shape": "Inner", "locationName": "next"}},
    },
    "Grantee": {
        "type": "structure",
        "xmlNamespace": {"prefix": "xsi", "uri": "http://www.w3.org/2001/XMLSchema-instance"},
        "members": {
            "Type": {"shape": "Text", "locationName": "xsi:type", "xmlAttribute": True},
            "Id": {"shape": "Text"},
        },
    },
    "Everything": {
        "type": "structure",
        "members": {
            "Text": {"shape": "Text"},
            "Renamed": {"shape": "Text", "locationName": "other"},
            "Number": {"shape": "Number"},
            "Real": {"shape": "Real"},
            "Flag": {"shape": "Flag"},
            "Blob": {"shape": "Blob"},
            "Time": {"shape": "Time"},
            "IsoTime": {"shape": "IsoTime"},
            "HttpTime": {"shape": "HttpTime"},
            "UnixTime": {"shape": "UnixTime"},
            "Texts": {"shape": "Texts"},
            "NamedTexts": {"shape": "NamedTexts"},
            "FlatTexts": {"shape": "FlatTexts"},
            "FlatRenamed": {"shape": "FlatTexts", "locationName": "flat"},
            "Map": {"shape": "Map"},
            "FlatMap": {"shape": "FlatMap"},
            "Inner": {"shape": "Inner"},
            "Grantee": {"shape": "Grantee"},
        },
    },
    "Located": {
        "type": "structure",
        "required": ["Path"],
        "payload": "Body",
        "members": {
            "Path": {"shape": "Text", "location": "uri", "locationName": "path"},
            "Query": {"shape": "Text", "location": "querystring", "locationName": "q"},
            "Many": {"shape": "Texts", "location": "querystring", "locationName": "many"},
            "Rest": {"shape": "Map", "location": "querystring"},
            "Header": {"shape": "Text", "location": "header", "locationName": "x-header"},
            "When": {"shape": "Time", "location": "header", "locationName": "x-when"},
            "Meta": {"shape": "Map", "location": "headers", "locationName": "x-meta-"},
            "Body": {"shape": "Blob"},
        },
    },
    "LocatedOut": {
        "type": "structure",
        "payload": "Body",
        "members": {
            "Status": {"shape": "Number", "location": "statusCode"},
            "Header": {"shape": "Text", "location": "header", "locationName": "x-header"},
            "When": {"shape": "Time", "location": "header", "locationName": "x-when"},
            "Meta": {"shape": "Map", "location": "headers", "locationName": "x-meta-"},
            "Body": {"shape": "Blob"},
        },
    },
}


class TableLoader:
    """botocore's loader, for a model of every protocol under the name ``table-<protocol>``."""

    def load_service_model(self, service: str, _kind: str) -> dict[str, Any]:
        protocol = service.removeprefix("table-")
        plain = {"input": {"shape": "Everything"}, "output": {"shape": "Everything"}}
        return {
            "metadata": {
                "protocol": protocol,
                "endpointPrefix": service,
                "serviceId": service,
                "targetPrefix": "Table",
                "jsonVersion": "1.1",
                "xmlNamespace": "http://table.example/",
            },
            "operations": {
                "Everything": {"name": "Everything", "http": {"method": "POST", "requestUri": "/"}, **plain},
                "Locate": {
                    "name": "Locate",
                    "http": {"method": "PUT", "requestUri": "/in/{path+}"},
                    "input": {"shape": "Located"},
                    "output": {"shape": "LocatedOut"},
                },
            },
            "shapes": SHAPES,
        }


@pytest.fixture(autouse=True)
def table_models(monkeypatch: pytest.MonkeyPatch) -> None:
    real = models._loader()

    class Both:
        def load_service_model(self, service: str, kind: str) -> Any:
            chosen = TableLoader() if service.startswith("table-") else real
            return chosen.load_service_model(service, kind)

    monkeypatch.setattr(models, "_loader", Both)


# (member, its value, how rest-xml writes it, how JSON writes it, how a form writes it)
CASES: list[tuple[str, Any, str, Any, dict[str, str] | None]] = [
    ("Text", 'a<&>"b', '<Text>a&lt;&amp;&gt;"b</Text>', {"Text": 'a<&>"b'}, {"Text": 'a<&>"b'}),
    ("Text", "", "<Text></Text>", {"Text": ""}, {"Text": ""}),
    ("Text", " kept ", "<Text> kept </Text>", {"Text": " kept "}, {"Text": " kept "}),
    ("Text", "a\rb", "<Text>a&#13;b</Text>", {"Text": "a\rb"}, {"Text": "a\rb"}),
    ("Renamed", "x", "<other>x</other>", {"other": "x"}, {"other": "x"}),
    ("Number", -7, "<Number>-7</Number>", {"Number": -7}, {"Number": "-7"}),
    ("Real", 1.5, "<Real>1.5</Real>", {"Real": 1.5}, {"Real": "1.5"}),
    ("Flag", False, "<Flag>false</Flag>", {"Flag": False}, {"Flag": "false"}),
    ("Blob", b"\x00\xff", "<Blob>AP8=</Blob>", {"Blob": "AP8="}, {"Blob": "AP8="}),
    ("Time", MOMENT, "<Time>2026-01-02T03:04:05.000Z</Time>", {"Time": 1767323045}, {"Time": "2026-01-02T03:04:05Z"}),
    ("IsoTime", MOMENT, "<IsoTime>2026-01-02T03:04:05.000Z</IsoTime>", {"IsoTime": "2026-01-02T03:04:05.000Z"}, None),
    (
        "HttpTime",
        MOMENT,
        "<HttpTime>Fri, 02 Jan 2026 03:04:05 GMT</HttpTime>",
        {"HttpTime": "Fri, 02 Jan 2026 03:04:05 GMT"},
        None,
    ),
    ("UnixTime", MOMENT, "<UnixTime>1767323045</UnixTime>", {"UnixTime": 1767323045}, {"UnixTime": "1767323045"}),
    (
        "Texts",
        ["a", "b"],
        "<Texts><member>a</member><member>b</member></Texts>",
        {"Texts": ["a", "b"]},
        {"Texts.member.1": "a", "Texts.member.2": "b"},
    ),
    (
        "NamedTexts",
        ["a"],
        "<NamedTexts><Item>a</Item></NamedTexts>",
        {"NamedTexts": ["a"]},
        {"NamedTexts.Item.1": "a"},
    ),
    (
        "FlatTexts",
        ["a", "b"],
        "<FlatTexts>a</FlatTexts><FlatTexts>b</FlatTexts>",
        {"FlatTexts": ["a", "b"]},
        {"FlatTexts.1": "a", "FlatTexts.2": "b"},
    ),
    ("FlatRenamed", ["a"], "<flat>a</flat>", {"flat": ["a"]}, {"flat.1": "a"}),
    (
        "Map",
        {"k": "v"},
        "<Map><entry><key>k</key><value>v</value></entry></Map>",
        {"Map": {"k": "v"}},
        {"Map.entry.1.key": "k", "Map.entry.1.value": "v"},
    ),
    (
        "FlatMap",
        {"k": "v"},
        "<FlatMap><K>k</K><V>v</V></FlatMap>",
        {"FlatMap": {"k": "v"}},
        {"FlatMap.1.K": "k", "FlatMap.1.V": "v"},
    ),
    (
        "Inner",
        {"A": "1", "Next": {"A": "2"}},
        "<Inner><A>1</A><next><A>2</A></next></Inner>",
        {"Inner": {"A": "1", "next": {"A": "2"}}},
        {"Inner.A": "1", "Inner.next.A": "2"},
    ),
]
XML_ONLY = [
    (
        "Grantee",
        {"Type": "Group", "Id": "1"},
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><Id>1</Id></Grantee>',
    ),
]


def parse(
    protocol: str,
    operation: str,
    request: Request,
    labels: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
) -> dict[str, Any]:
    service = f"table-{protocol}"
    parts = Asked.of(request).parts
    parts.labels, parts.form = labels or {}, form or {}
    plan = plan_of(service, operation)
    asyncio.run(read_body(service, plan, parts, request.body))
    return input_of(service, plan, parts)


def post(body: bytes, target: str = "/", headers: tuple[tuple[str, str], ...] = (), method: str = "POST") -> Request:
    pairs = [("host", "table.example"), *headers]
    return Request(method, target, Headers.of(pairs), BytesBody(body), Peer("127.0.0.1", 1))


def written(protocol: str, result: dict[str, Any]) -> bytes:
    service = f"table-{protocol}"
    body = response_of(service, plan_of(service, "Everything"), result, "id").body
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize(("member", "value", "xml"), [case[:3] for case in CASES] + XML_ONLY)
def test_rest_xml(member: str, value: Any, xml: str) -> None:
    document = f'<Everything xmlns="http://table.example/">{xml}</Everything>'.encode()
    assert parse("rest-xml", "Everything", post(document)) == {member: value}
    assert xml in written("rest-xml", {member: value}).decode()


@pytest.mark.parametrize(("member", "value", "_xml", "document", "_form"), CASES)
@pytest.mark.parametrize("protocol", ["rest-json", "json"])
def test_json(protocol: str, member: str, value: Any, _xml: str, document: Any, _form: Any) -> None:
    assert parse(protocol, "Everything", post(json.dumps(document).encode())) == {member: value}
    assert json.loads(written(protocol, {member: value})) == document


@pytest.mark.parametrize(
    ("member", "value", "xml", "form"), [(c[0], c[1], c[2], c[4]) for c in CASES if c[4] is not None]
)
def test_query(member: str, value: Any, xml: str, form: dict[str, str]) -> None:
    assert parse("query", "Everything", post(b""), form=form) == {member: value}
    assert xml in written("query", {member: value}).decode()


def test_members_that_say_nothing_are_passed_over() -> None:
    said = b'{"Text": null, "Unknown": null, "None": "", "Empty": [], "Inner": {"New": {}, "__type": "Inner"}}'
    for protocol in ("json", "rest-json"):
        assert parse(protocol, "Everything", post(said)) == {"Inner": {}}
        assert parse(protocol, "Everything", post(b"")) == {}
    presigned = {"Action": "Everything", "Version": "1", "X-Amz-Date": "now", "New": "", "Text": "a"}
    assert parse("query", "Everything", post(b""), form=presigned) == {"Text": "a"}


# (where it is, as rest-xml, JSON and a form write it)
UNKNOWN: list[tuple[str, str, Any, dict[str, str]]] = [
    ("New", "<New>1</New>", {"New": 0}, {"New": "1"}),
    ("New", "<Text>a</Text><New><A>1</A></New>", {"Text": "a", "New": {"A": 1}}, {"Text": "a", "New.A": "1"}),
    ("Inner.New", "<Inner><New>1</New></Inner>", {"Inner": {"New": "1"}}, {"Inner.New": "1"}),
    (
        "Inner.Next.New",
        "<Inner><next><A>2</A><New/></next></Inner>",
        {"Inner": {"next": {"A": "2", "New": False}}},
        {"Inner.next.A": "2", "Inner.next.New.member.1": "x"},
    ),
]


@pytest.mark.parametrize(("path", "xml", "document", "form"), UNKNOWN)
def test_members_that_the_model_does_not_have_are_refused_by_name(
    path: str, xml: str, document: Any, form: dict[str, str]
) -> None:
    body = f'<Everything xmlns="http://table.example/">{xml}</Everything>'.encode()
    data = json.dumps(document).encode()
    for asked in (
        lambda: parse("rest-xml", "Everything", post(body)),
        lambda: parse("rest-json", "Everything", post(data)),
        lambda: parse("json", "Everything", post(data)),
        lambda: parse("query", "Everything", post(b""), form=form),
    ):
        with pytest.raises(ServiceError) as refused:
            asked()
        told = f"Everything: the field {path} is not implemented here."
        assert (refused.value.code, refused.value.message, refused.value.status) == ("NotImplemented", told, 501)


def test_everything_that_is_not_in_the_body() -> None:
    request = post(
        b"bytes",
        "/in/a%20b/c?q=one%2Btwo&many=1&many=2",
        (("x-header", "h"), ("x-when", "Fri, 02 Jan 2026 03:04:05 GMT"), ("x-meta-one", "1"), ("x-meta-two", "2")),
        "PUT",
    )
    operation, labels = routes.match("table-rest-json", "PUT", "/in/a%20b/c", {}, set()) or ("", {})
    assert (operation, labels) == ("Locate", {"path": "a b/c"})
    assert parse("rest-json", "Locate", request, labels=labels) == {
        "Path": "a b/c",
        "Query": "one+two",
        "Many": ["1", "2"],
        "Rest": {"q": "one+two", "many": "2"},
        "Header": "h",
        "When": MOMENT,
        "Meta": {"one": "1", "two": "2"},
        "Body": b"bytes",
    }


def test_a_response_outside_its_body() -> None:
    result = {"Status": 202, "Header": "h\r\nx: y", "When": MOMENT, "Meta": {"a": "ü", "b": "日"}, "Body": b"\x00"}
    response = response_of("table-rest-json", plan_of("table-rest-json", "Locate"), result, "id")
    assert (response.status, response.body) == (202, b"\x00")
    assert response.headers.get("x-header") == "h  x: y"  # a line end never splits a response
    assert response.headers.get("x-when") == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert response.headers.get("x-meta-a") == "ü"
    assert response.headers.get("x-meta-b") == "%E6%97%A5"


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("rest-json", b"{"),
        ("rest-json", b"[1]"),
        ("rest-json", b'{"Number": "7"}'),
        ("rest-json", b'{"Number": 1.5}'),
        ("rest-json", b'{"Flag": "true"}'),
        ("rest-json", b'{"Blob": "%%%"}'),
        ("rest-json", b'{"Time": "yesterday"}'),
        ("rest-json", b'{"Texts": {"a": 1}}'),
        ("rest-json", b'{"Map": []}'),
        ("rest-json", b"[" * 100_000),
        ("rest-xml", b"<Everything>"),
        ("rest-xml", b"not xml"),
        ("rest-xml", b"<Everything><Number>seven</Number></Everything>"),
        ("rest-xml", b"<Everything><Texts><wrong>a</wrong></Texts></Everything>"),
        ("rest-xml", b'<!DOCTYPE x [<!ENTITY a "b">]><Everything><Text>&a;</Text></Everything>'),
        ("rest-xml", b"\xff\xfe<\x00"),
    ],
)
def test_what_cannot_be_read_is_the_callers_fault(protocol: str, body: bytes) -> None:
    with pytest.raises(ServiceError) as refused:
        parse(protocol, "Everything", post(body))
    assert 400 <= (refused.value.status or 400) < 500
