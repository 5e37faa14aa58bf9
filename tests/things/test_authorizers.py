"""Custom authorizers through boto3, paho-mqtt and HTTPS; the function is Python in this process, the rest is real."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.things import asked
from littoral.things.authorizers import authorizers as asking
from tests.things.place import ARN, Mqtt, Place, Visitor, allow, running
from tests.things.test_control_boto3 import refused
from tests.things.test_jobs import until

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:gate"
KEY = rsa.generate_private_key(65537, 2048)
BEDS = [
    allow("iot:Connect", "client/bed*"),
    allow(["iot:Publish", "iot:Receive"], "topic/beds/${iot:ClientId}"),
    allow("iot:Subscribe", "topicfilter/beds/${iot:ClientId}"),
]


class Gate:
    """The function: ``answers`` makes its answer of the event."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.statements: list[dict[str, Any]] = BEDS
        self.more: dict[str, Any] = {}
        self.hold = threading.Event()  # set: it does not answer
        self.error: str | None = None

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        assert invocation.function == FUNCTION
        self.events.append(json.loads(invocation.payload))
        while self.hold.is_set():
            await asyncio.sleep(0.01)
        answer = {
            "isAuthenticated": True,
            "principalId": "Bed",
            "disconnectAfterInSeconds": 3600,
            "refreshAfterInSeconds": 300,
            "policyDocuments": [{"Version": "2012-10-17", "Statement": self.statements}],
            **self.more,
        }
        return InvokeResult(json.dumps(answer).encode(), self.error)


class Later:
    """The time, and what the test adds to it."""

    def __init__(self) -> None:
        self.more = 0.0

    def __call__(self) -> float:
        return time.time() + self.more


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def place(tmp_path: Path, gate: Gate, later: Later) -> Iterator[Place]:
    with running(tmp_path, clock=later) as place:
        place.sink.invoke = gate.invoke  # type: ignore[method-assign]
        yield place


def pem(key: Any) -> str:
    text: str = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return text


def sign(token: str) -> str:
    return base64.b64encode(KEY.sign(token.encode(), padding.PKCS1v15(), SHA256())).decode()


def create(place: Place, name: str = "gate", **more: Any) -> None:
    given: dict[str, Any] = {"authorizerFunctionArn": FUNCTION, "status": "ACTIVE", **more}
    if "tokenSigningPublicKeys" not in given:
        given["signingDisabled"] = True
    place.client("iot").create_authorizer(authorizerName=name, **given)


def signed(place: Place) -> None:
    create(place, tokenKeyName="ticket", tokenSigningPublicKeys={"first": pem(KEY)})


def named(name: str = "gate", **values: str) -> str:
    return "&".join([f"bed?x-amz-customauthorizer-name={name}", *(f"{k}={quote(v)}" for k, v in values.items())])


def counts(place: Place) -> dict[tuple[str, str], int]:
    return dict(place.things.refusals.counts)


# ------------------------------------------------------------------------------------------------- the API


def test_an_authorizer_through_its_life(place: Place) -> None:
    iot = place.client("iot")
    arn = ARN + "authorizer/gate"
    create(place, tokenKeyName="ticket", tokenSigningPublicKeys={"first": pem(KEY)}, tags=[{"Key": "a", "Value": "b"}])
    create(place, "other", status="INACTIVE")
    found = iot.describe_authorizer(authorizerName="gate")["authorizerDescription"]
    assert found.pop("creationDate") == found.pop("lastModifiedDate")
    assert found == {
        "authorizerName": "gate",
        "authorizerArn": arn,
        "authorizerFunctionArn": FUNCTION,
        "tokenKeyName": "ticket",
        "tokenSigningPublicKeys": {"first": pem(KEY)},
        "status": "ACTIVE",
        "signingDisabled": False,
        "enableCachingForHttp": False,
    }
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "a", "Value": "b"}]
    assert iot.list_authorizers(status="ACTIVE")["authorizers"] == [{"authorizerName": "gate", "authorizerArn": arn}]
    page = iot.list_authorizers(pageSize=1, ascendingOrder=True)
    rest = iot.list_authorizers(pageSize=1, ascendingOrder=True, marker=page["nextMarker"])
    assert [one["authorizerName"] for one in page["authorizers"] + rest["authorizers"]] == ["gate", "other"]

    refused("ResourceNotFoundException", iot.describe_default_authorizer)
    refused("ResourceNotFoundException", iot.clear_default_authorizer)
    refused("ResourceNotFoundException", iot.set_default_authorizer, authorizerName="nobody")
    assert iot.set_default_authorizer(authorizerName="gate")["authorizerArn"] == arn
    refused("ResourceAlreadyExistsException", iot.set_default_authorizer, authorizerName="other")
    assert iot.describe_default_authorizer()["authorizerDescription"]["authorizerName"] == "gate"

    refused("DeleteConflictException", iot.delete_authorizer, authorizerName="gate")
    iot.update_authorizer(authorizerName="gate", status="INACTIVE", enableCachingForHttp=True)
    changed = iot.describe_authorizer(authorizerName="gate")["authorizerDescription"]
    assert (changed["status"], changed["enableCachingForHttp"], changed["tokenKeyName"]) == ("INACTIVE", True, "ticket")
    refused("DeleteConflictException", iot.delete_authorizer, authorizerName="gate")
    iot.clear_default_authorizer()
    iot.delete_authorizer(authorizerName="gate")
    refused("ResourceNotFoundException", iot.describe_authorizer, authorizerName="gate")
    create(place)
    given = {"authorizerName": "gate", "authorizerFunctionArn": FUNCTION, "signingDisabled": True}
    refused("ResourceAlreadyExistsException", iot.create_authorizer, **given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"signingDisabled": False},
        {"signingDisabled": False, "tokenKeyName": "ticket"},
        {"tokenKeyName": "t", "tokenSigningPublicKeys": {"k": pem(rsa.generate_private_key(65537, 1024))}},
        {"tokenKeyName": "t", "tokenSigningPublicKeys": {"k": pem(ec.generate_private_key(ec.SECP256R1()))}},
        {"tokenKeyName": "t", "tokenSigningPublicKeys": {"k": "no key"}},
        {"authorizerFunctionArn": "gate", "signingDisabled": True},
    ],
)
def test_what_could_not_be_asked_is_not_made(place: Place, wrong: dict[str, Any]) -> None:
    given = {"authorizerFunctionArn": FUNCTION, **wrong}
    iot = place.client("iot")
    refused("InvalidRequestException", iot.create_authorizer, authorizerName="gate", **given)
    assert iot.list_authorizers()["authorizers"] == []


def test_an_authorizer_is_tried_before_it_is_used(place: Place, gate: Gate) -> None:
    iot = place.client("iot")
    create(place, tokenKeyName="t", tokenSigningPublicKeys={"k": pem(KEY)}, status="INACTIVE")
    told = iot.test_invoke_authorizer(
        authorizerName="gate",
        token="abc",
        tokenSignature=sign("abc"),
        httpContext={"headers": {"Ward": "7"}, "queryString": "?a=b"},
        mqttContext={"username": "u", "password": b"p", "clientId": "bed3"},
        tlsContext={"serverName": "iot.example"},
    )
    document = json.dumps({"Version": "2012-10-17", "Statement": BEDS}, separators=(",", ":"))
    assert {name: value for name, value in told.items() if name != "ResponseMetadata"} == {
        "isAuthenticated": True,
        "principalId": "Bed",
        "policyDocuments": [document],
        "refreshAfterInSeconds": 300,
        "disconnectAfterInSeconds": 3600,
    }
    (event,) = gate.events
    assert (event["token"], event["signatureVerified"]) == ("abc", True)
    assert event["protocolData"] == {
        "tls": {"serverName": "iot.example"},
        "http": {"headers": {"ward": "7"}, "queryString": "?a=b"},
        "mqtt": {"username": "u", "password": "cA==", "clientId": "bed3"},
    }
    trying = {"authorizerName": "gate", "token": "abc"}
    refused("UnauthorizedException", iot.test_invoke_authorizer, **trying, tokenSignature=sign("abd"))
    refused("UnauthorizedException", iot.test_invoke_authorizer, **trying)
    assert len(gate.events) == 1
    gate.more = {"principalId": "not a name"}
    refused("InvalidResponseException", iot.test_invoke_authorizer, **trying, tokenSignature=sign("abc"))
    gate.more, gate.error = {}, "Unhandled"
    refused("InvalidResponseException", iot.test_invoke_authorizer, **trying, tokenSignature=sign("abc"))
    gate.more, gate.error = {"isAuthenticated": False}, None
    assert iot.test_invoke_authorizer(**trying, tokenSignature=sign("abc"))["isAuthenticated"] is False


# -------------------------------------------------------------------------------------------------- MQTT


def test_without_an_active_authorizer_a_certificate_is_needed_as_before(place: Place) -> None:
    create(place, status="INACTIVE")
    context = Visitor(place).tls
    with (
        pytest.raises(ssl.SSLError, match="certificate required"),
        socket.create_connection(("127.0.0.1", place.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.recv(1)  # with TLS 1.3 the client hears of it only now
    place.client("iot").update_authorizer(authorizerName="gate", status="ACTIVE")
    with Mqtt(Visitor(place, named(), "secret"), "bed3"):
        pass


@pytest.mark.parametrize("v5", [True, False])
def test_a_function_lets_in_and_its_policies_decide(place: Place, gate: Gate, v5: bool) -> None:
    create(place)
    with Mqtt(Visitor(place, named(), "s3cret"), "bed3", v5=v5) as bed:
        assert bed.subscribe("beds/bed3") == [1]
        assert bed.publish("beds/bed3", {"rate": 71}) == 0
        assert bed.next() == ("beds/bed3", {"rate": 71})
        assert bed.subscribe("beds/bed4") in ([0x87], [0x80])
        bed.client.publish("beds/bed4", b"{}", 0)
        assert bed.disconnected.get(timeout=10)
    (event,) = gate.events
    assert event["protocols"] == ["tls", "mqtt"] and event["signatureVerified"] is False
    assert event["protocolData"]["mqtt"] == {
        "username": named(),
        "password": base64.b64encode(b"s3cret").decode(),
        "clientId": "bed3",
    }
    assert len(event["connectionMetadata"]["id"]) == 36
    assert counts(place) == {("iot:Subscribe", "IMPLICIT_DENY"): 1, ("iot:Publish", "IMPLICIT_DENY"): 1}
    assert Visitor(place, named()).refused("chair1", v5=v5) == 0x87


def test_who_is_not_let_in_is_counted_by_the_reason(place: Place, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    create(place)
    create(place, "asleep", status="INACTIVE")
    for username, why, change in (
        ("bed", "NO_AUTHORIZER", {}),
        (named("nobody"), "AUTHORIZER_NOT_FOUND", {}),
        (named("asleep"), "AUTHORIZER_INACTIVE", {}),
        (named(), "NOT_AUTHENTICATED", {"isAuthenticated": False}),
        (named(), "BAD_ANSWER", {"refreshAfterInSeconds": 1}),
    ):
        gate.more = change
        assert Visitor(place, username).refused("bed3") == 0x87
        assert counts(place)["iot:Connect", why] == 1
    gate.more, gate.error = {}, "Unhandled"
    with caplog.at_level(logging.WARNING, "littoral.things.refusals"):
        assert Visitor(place, named()).refused("bed3") == 0x87
    assert FUNCTION in caplog.text  # the operator is told of the function, the client is not
    client = Mqtt(Visitor(place, named()), "bed3")
    client.connected.get(timeout=10)
    assert client.reason_string == "no authorizer lets this client in"
    client.client.loop_stop()
    gate.error = None
    assert counts(place)["iot:Connect", "FUNCTION_FAILED"] == 2
    assert dict(place.things.authorizers.results) == {
        ("gate", "NOT_AUTHENTICATED"): 1,
        ("gate", "BAD_ANSWER"): 1,
        ("gate", "FUNCTION_FAILED"): 2,
    }


def test_the_default_is_asked_where_none_is_named(place: Place, gate: Gate) -> None:
    create(place)
    place.client("iot").set_default_authorizer(authorizerName="gate")
    with Mqtt(Visitor(place, "just a name", "x"), "bed3"):
        pass
    assert gate.events[0]["protocolData"]["mqtt"]["username"] == "just a name"
    assert counts(place) == {}


def test_a_token_must_be_signed_before_the_function_hears_of_it(place: Place, gate: Gate) -> None:
    signed(place)
    token = "beds/7+ä"
    for values in (
        {},
        {"ticket": token},
        {"ticket": token, "x-amz-customauthorizer-signature": "%%"},
        {"ticket": token + "!", "x-amz-customauthorizer-signature": sign(token)},
        {"other": token, "x-amz-customauthorizer-signature": sign(token)},
    ):
        assert Visitor(place, named(**values)).refused("bed3") == 0x87
    assert gate.events == [] and counts(place) == {("iot:Connect", "BAD_TOKEN_SIGNATURE"): 5}
    shown = {"ticket": token, "x-amz-customauthorizer-signature": sign(token)}
    with Mqtt(Visitor(place, named(**shown)), "bed3"):
        pass
    assert (gate.events[0]["token"], gate.events[0]["signatureVerified"]) == (token, True)


def test_a_certificate_goes_before_an_authorizer(place: Place, gate: Gate) -> None:
    create(place)
    place.client("iot").set_default_authorizer(authorizerName="gate")
    device = place.device("bed3", allow("iot:*"))
    with device.connect() as bed:
        assert bed.publish("anything", {}) == 0
    assert gate.events == []


def test_a_slow_function_holds_nobody_else_up(place: Place, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST", 1)
    create(place)
    device = place.device("chair", allow("iot:*"))
    gate.hold.set()
    waiting = Mqtt(Visitor(place, named()), "bed3")
    until(lambda: gate.events)
    assert Visitor(place, named()).refused("bed4") == 0x89
    assert counts(place) == {("iot:Connect", "AUTHORIZERS_BUSY"): 1}
    with device.connect() as chair:
        assert chair.publish("anything", {}) == 0
    gate.hold.clear()
    with waiting as bed:
        assert bed.publish("beds/bed3", {}) == 0


def test_a_function_that_does_not_answer_lets_nobody_in(
    place: Place, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "TIME", 0.05)
    create(place)
    gate.hold.set()
    assert Visitor(place, named()).refused("bed3") == 0x87
    assert counts(place) == {("iot:Connect", "FUNCTION_TIMED_OUT"): 1}
    assert place.things.authorizers.room == asking.MOST


def test_another_authorizers_client_does_not_get_the_session(place: Place, gate: Gate) -> None:
    create(place)
    create(place, "second")

    def connect(name: str) -> Mqtt:
        return Mqtt(Visitor(place, named(name)), "bed3", v5=False, clean=False)

    with connect("gate") as bed:
        assert bed.subscribe("beds/bed3") == [1]
    place.client("iot-data").publish(topic="beds/bed3", qos=1, payload=b"1")
    with connect("gate") as bed:
        assert bed.next() == ("beds/bed3", 1)
    place.client("iot-data").publish(topic="beds/bed3", qos=1, payload=b"2")
    with connect("second"):
        pass
    with connect("gate") as bed:
        assert bed.subscribe("beds/bed3") == [1]
        place.client("iot-data").publish(topic="beds/bed3", qos=1, payload=b"3")
        assert bed.next() == ("beds/bed3", 3)


# -------------------------------------------------------------------------------------------------- time


def test_the_function_is_asked_again_and_its_new_policies_count(place: Place, gate: Gate, later: Later) -> None:
    create(place)
    with Mqtt(Visitor(place, named(), "kept"), "bed3", keepalive=1200) as bed:
        assert bed.publish("beds/bed3", {}) == 0
        later.more += 299
        place.things.broker.sweep(later())
        assert len(gate.events) == 1
        gate.statements = [*BEDS[:1], allow("iot:Publish", "topic/beds/new")]
        later.more += 2
        until(lambda: len(gate.events) == 2)
        assert gate.events[1] == gate.events[0]
        until(lambda: bed.publish("beds/new", {}) == 0)
        bed.client.publish("beds/bed3", b"{}", 0)
        assert bed.disconnected.get(timeout=10)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"isAuthenticated": False}, "NOT_AUTHENTICATED"),
        ({"principalId": "Chair"}, None),
        ({"policyDocuments": []}, "IMPLICIT_DENY"),
    ],
)
def test_who_is_refused_when_asked_again_is_cut_off(
    place: Place, gate: Gate, later: Later, change: dict[str, Any], why: str | None
) -> None:
    create(place)
    with Mqtt(Visitor(place, named()), "bed3", keepalive=1200) as bed:
        gate.more = change
        later.more += 301
        assert bed.disconnected.get(timeout=10) == 0x87
    assert counts(place) == ({} if why is None else {("iot:Connect", why): 1})


def test_an_authorizer_that_is_gone_lets_its_clients_go_at_their_refresh(place: Place, later: Later) -> None:
    create(place)
    with Mqtt(Visitor(place, named()), "bed3", keepalive=1200) as bed:
        place.client("iot").update_authorizer(authorizerName="gate", status="INACTIVE")
        assert bed.publish("beds/bed3", {}) == 0
        later.more += 301
        assert bed.disconnected.get(timeout=10) == 0x87


def test_a_connection_ends_when_its_time_is_over(place: Place, gate: Gate, later: Later) -> None:
    gate.more = {"disconnectAfterInSeconds": 400, "refreshAfterInSeconds": 300}
    create(place)
    with Mqtt(Visitor(place, named()), "bed3", keepalive=1200) as bed:
        later.more += 301
        until(lambda: len(gate.events) == 2)
        assert bed.publish("beds/bed3", {}) == 0
        later.more += 100
        assert bed.disconnected.get(timeout=10) == 0xA0
    assert len(gate.events) == 2


# -------------------------------------------------------------------------------------------------- HTTPS


class Https:
    """One connection to the device port without a certificate."""

    def __init__(self, place: Place) -> None:
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", place.https_port, context=Visitor(place).tls, timeout=10
        )

    def post(self, path: str, **headers: str) -> tuple[int, Any]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("POST", path, b'{"rate": 72}', given)
        response = self._connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body.startswith(b"{") else body


def visit(place: Place, gate: Gate) -> Callable[..., tuple[int, Any]]:
    gate.statements = [allow("iot:Publish", "topic/beds/*")]
    visitor = Https(place)
    return lambda topic, **headers: visitor.post(f"/topics/{topic}?qos=1", **headers)


def test_https_publish_asks_the_function_for_each_request(place: Place, gate: Gate) -> None:
    signed(place)
    post = visit(place, gate)
    shown = {
        "x_amz_customauthorizer_name": "gate",
        "x_amz_customauthorizer_signature": sign("t"),
        "ticket": "t",
    }
    device = place.device("chair", allow("iot:*"))
    with device.connect() as chair:
        chair.subscribe("beds/#")
        assert post("beds/bed3", **shown)[0] == 200
        assert chair.next() == ("beds/bed3", {"rate": 72})
    query = f"x-amz-customauthorizer-name=gate&ticket=t&x-amz-customauthorizer-signature={quote(sign('t'))}"
    assert Https(place).post(f"/topics/beds/bed3?qos=1&{query}")[0] == 200
    assert post("chairs/1", **shown)[0] == 403
    assert len(gate.events) == 3
    event = gate.events[0]
    assert event["protocols"] == ["tls", "http"] and event["token"] == "t"
    assert event["protocolData"]["http"]["queryString"] == "?qos=1"
    assert event["protocolData"]["http"]["headers"]["ticket"] == "t"
    status, body = post("beds/bed3", **{**shown, "ticket": "u"})
    assert (status, body["message"]) == (403, "Forbidden")
    assert counts(place) == {("iot:Publish", "IMPLICIT_DENY"): 1, ("iot:Publish", "BAD_TOKEN_SIGNATURE"): 1}
    assert Https(place).post("/things/bed3/shadow", **shown)[0] == 401
    assert len(gate.events) == 3


def test_https_answers_hold_for_a_connection_where_the_authorizer_says_so(
    place: Place, gate: Gate, later: Later
) -> None:
    create(place, enableCachingForHttp=True)
    post = visit(place, gate)
    shown = {"x_amz_customauthorizer_name": "gate"}
    for _ in range(3):
        assert post("beds/bed3", **shown)[0] == 200
    assert post("chairs/1", **shown)[0] == 403
    assert len(gate.events) == 1
    assert post("beds/bed3", **shown, secret="another")[0] == 200
    assert Https(place).post("/topics/beds/bed3?qos=1", **shown)[0] == 200
    assert len(gate.events) == 3
    later.more += 301
    assert post("beds/bed3", **shown)[0] == 200
    assert len(gate.events) == 4


def test_a_service_error_of_the_function_is_a_refusal(place: Place) -> None:
    """As where the function is not there: the invoker raises what Invoke would."""

    async def invoke(_: Invocation) -> InvokeResult:
        raise asked.ServiceError("ResourceNotFoundException", "Function not found", status=404)

    place.sink.invoke = invoke  # type: ignore[method-assign]
    create(place)
    assert Visitor(place, named()).refused("bed3") == 0x87
    assert counts(place) == {("iot:Connect", "FUNCTION_FAILED"): 1}
    with pytest.raises(ClientError, match="InvalidResponseException"):
        place.client("iot").test_invoke_authorizer(authorizerName="gate")
