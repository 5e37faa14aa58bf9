"""Custom authentication on the wire: where credentials may stand, what the function is told, which answers count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from littoral.protocols.customauth import Answer, BadAnswer, Http, Mqtt, Presented

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
GOOD = {
    "isAuthenticated": True,
    "principalId": "Bed3",
    "disconnectAfterInSeconds": 86400,
    "refreshAfterInSeconds": 300,
    "policyDocuments": [POLICY],
}


def test_a_user_name_carries_a_query_of_url_encoded_values() -> None:
    shown = Mqtt("bed?x-amz-customauthorizer-name=ward%207&x-amz-customauthorizer-signature=a%2Bb/c+d==&t=x=y&t=z")
    assert shown.value("x-amz-customauthorizer-name") == "ward 7"
    assert shown.value("x-amz-customauthorizer-signature") == "a+b/c+d=="
    assert shown.value("t") == "x=y" and shown.value("T") is None
    assert Mqtt("bed").value("bed") is None and Mqtt(None).value("t") is None


def test_a_header_goes_before_the_query_and_that_before_the_user_name() -> None:
    mqtt = Mqtt("u?token=m", b"", "c")
    assert Presented("1", http=Http({"token": "h"}, "token=q"), mqtt=mqtt).value("Token") == "h"
    assert Presented("1", http=Http({}, "token=q"), mqtt=mqtt).value("token") == "q"
    assert Presented("1", http=Http({}, "qos=1"), mqtt=mqtt).value("token") == "m"


def test_the_event_has_what_the_connection_has_and_no_more() -> None:
    shown = Presented("id-1", True, "iot.example", None, Mqtt("u?a=b", b"\xff\x00", "bed3"))
    assert shown.event("tok", verified=True) == {
        "token": "tok",
        "signatureVerified": True,
        "protocols": ["tls", "mqtt"],
        "protocolData": {
            "tls": {"serverName": "iot.example"},
            "mqtt": {"username": "u?a=b", "password": "/wA=", "clientId": "bed3"},
        },
        "connectionMetadata": {"id": "id-1"},
    }
    over_http = Presented("id-2", False, None, Http({"token": "t"}, "qos=1"), Mqtt())
    assert over_http.event(None, verified=False) == {
        "signatureVerified": False,
        "protocols": ["http", "mqtt"],
        "protocolData": {"http": {"headers": {"token": "t"}, "queryString": "?qos=1"}, "mqtt": {}},
        "connectionMetadata": {"id": "id-2"},
    }


def test_policies_are_objects_or_texts() -> None:
    text = json.dumps(POLICY)
    found = Answer.read(json.dumps({**GOOD, "policyDocuments": [POLICY, text], "context": {"more": 1}}).encode())
    assert found == Answer(True, "Bed3", (json.dumps(POLICY, separators=(",", ":")), text), 86400, 300)
    assert Answer.read(b'{"isAuthenticated": false, "principalId": 7}') == Answer(False)


LONG = {**POLICY, "Statement": [{**POLICY["Statement"][0], "Sid": "x" * 2048}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "wrong",
    [
        {"isAuthenticated": "true"},
        {"isAuthenticated": None},
        {"principalId": ""},
        {"principalId": "bed-3"},
        {"principalId": "b" * 129},
        {"principalId": "bed\n"},
        {"disconnectAfterInSeconds": 299},
        {"disconnectAfterInSeconds": 86401},
        {"refreshAfterInSeconds": True},
        {"refreshAfterInSeconds": 300.5},
        {"refreshAfterInSeconds": None},
        {"policyDocuments": None},
        {"policyDocuments": [POLICY] * 11},
        {"policyDocuments": [LONG]},
        {"policyDocuments": ["{}"]},
        {"policyDocuments": [7]},
        {"policyDocuments": [{**POLICY, "Version": "2008-10-17"}]},
    ],
)
def test_what_is_no_answer_lets_nobody_in(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        Answer.read(json.dumps({**GOOD, **wrong}).encode())


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"yes"', b"[" * 100_000, b"\xff"])
def test_what_is_not_even_an_object_lets_nobody_in(payload: bytes) -> None:
    with pytest.raises(BadAnswer):
        Answer.read(payload)
