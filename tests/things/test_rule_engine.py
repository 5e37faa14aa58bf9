"""The rule engine: at least once, retries, the error action, and nothing twice that was sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.protocols.iotsql import Context
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.message import Publication, PublishProperties
from littoral.things.rules import RuleEngine, RuleRecord, Sinks
from littoral.things.rules import engine as engine_module

ROLE = "arn:aws:iam::000000000000:role/r"


class World:
    """Where actions end. ``refuse`` holds errors to raise, first come first; then everything is taken."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.puts = 0
        self.types: list[str] = []
        self.invoked: list[tuple[str, Any]] = []
        self.republished: list[Publication] = []
        self.refuse: list[Exception] = []
        self.asked = 0

    async def _maybe_refuse(self) -> None:
        await asyncio.sleep(0)
        if self.refuse:
            raise self.refuse.pop(0)

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        self.puts += 1
        await self._maybe_refuse()
        self.objects[bucket, key] = data
        self.types.append(content_type)

    async def invoke_async(self, invocation: Invocation) -> str:
        await self._maybe_refuse()
        self.invoked.append((invocation.function, json.loads(invocation.payload)))
        return "id"

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """For ``aws_lambda``: the function adds one."""
        await self._maybe_refuse()
        self.asked += 1
        event = json.loads(invocation.payload)
        return InvokeResult(json.dumps({"n": event["n"] + 1, "id": event.get("id")}).encode())

    async def publish(self, message: Publication) -> None:
        self.republished.append(message)


def rule(name: str, sql: str, *actions: dict[str, Any], **more: Any) -> RuleRecord:
    return RuleRecord.of_payload(name, {"sql": sql, "actions": list(actions), **more}, 0.0)


def s3(key: str, bucket: str = "b") -> dict[str, Any]:
    return {"s3": {"roleArn": ROLE, "bucketName": bucket, "key": key}}


def message(payload: Any, topic: str = "ward/7/bed/3", timestamp: int = 1000) -> Context:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Context(topic=topic, payload=data, timestamp=timestamp, client_id="bed3", account="000000000000")


async def opened(store: EmbeddedStore, world: World) -> RuleEngine:
    sinks = Sinks(world.publish, world, world)
    engine = RuleEngine(Documents(store.records("things"), "rule/"), store.streams, sinks, account="000000000000")
    await engine.open()
    return engine


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(engine_module, "delay_before", lambda attempt: 0.0)
    return World()


@pytest.fixture
async def engine(store: EmbeddedStore, world: World) -> AsyncIterator[RuleEngine]:
    made = await opened(store, world)
    made.start()
    yield made
    await made.close()


Take = Callable[..., Awaitable[None]]


async def take(engine: RuleEngine, context: Context, qos: int = 1, message_id: str | None = None) -> None:
    rules = [found for name in list(engine.metrics()) if (found := engine.active(name)) is not None]
    for found in rules:
        waiting = engine.offer(found, context, qos=qos, message_id=message_id)
        if waiting is not None:
            await waiting


async def settled(engine: RuleEngine) -> None:
    await asyncio.wait_for(engine.settled(), 20)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_matched_message_reaches_every_action(engine: RuleEngine, world: World, qos: int) -> None:
    await engine.put(
        rule(
            "r",
            "SELECT *, topic(4) AS bed FROM 'ward/#' WHERE hr > 100",
            s3("${topic(4)}/${hr}.json"),
            {"lambda": {"functionArn": "arn:aws:lambda:us-east-1:000000000000:function:alarm"}},
            {"republish": {"roleArn": ROLE, "topic": "$$aws/x/${topic(2)}", "qos": 1}},
        )
    )
    await take(engine, message({"hr": 120}), qos)
    await take(engine, message({"hr": 90}), qos)
    await settled(engine)
    assert world.objects == {("b", "3/120.json"): b'{"hr":120,"bed":"3"}'}
    assert world.types == ["application/json"]
    assert world.invoked == [("arn:aws:lambda:us-east-1:000000000000:function:alarm", {"hr": 120, "bed": "3"})]
    assert [(m.topic, m.qos) for m in world.republished] == [("$aws/x/7", 1)]
    metrics = engine.metrics()["r"]
    assert (metrics.matched, metrics.success, metrics.failure) == (1, 3, 0)


async def test_republish_headers_are_templates(engine: RuleEngine, world: World) -> None:
    headers = {
        "contentType": "text/${kind}",
        "correlationData": base64.b64encode(b"c").decode(),
        "messageExpiry": "${ttl}",
        "responseTopic": "r/${kind}",
        "payloadFormatIndicator": "UTF8_DATA",
        "userProperties": [{"key": "k", "value": "${kind}"}],
    }
    await engine.put(
        rule("r", "SELECT 1 AS x FROM 'a'", {"republish": {"roleArn": ROLE, "topic": "t", "headers": headers}})
    )
    await take(engine, message({"kind": "plain", "ttl": 60}))
    await settled(engine)
    assert world.republished == [
        Publication(
            "t",
            b'{"x":1}',
            properties=PublishProperties(1, 60, "text/plain", "r/plain", b"c", [("k", "plain")]),
        )
    ]


async def test_what_was_taken_survives_a_restart_and_is_done_once(
    store: EmbeddedStore, world: World, tmp_path: Path
) -> None:
    first = await opened(store, world)
    await first.put(rule("r", "SELECT * FROM '#'", s3("${n}")))
    for n in range(20):
        await take(first, message({"n": n}))
    assert world.objects == {}  # never started: the process dies here
    await first.close()
    again = await opened(store, world)
    again.start()
    await settled(again)
    await again.close()
    assert len(world.objects) == 20 and world.puts == 20


async def test_the_same_message_id_is_acted_on_once_even_after_a_restart(store: EmbeddedStore, world: World) -> None:
    for _ in range(2):
        engine = await opened(store, world)
        if not engine.metrics():
            await engine.put(rule("r", "SELECT * FROM '#'", s3("${newuuid()}")))
            await engine.put(rule("q", "SELECT * FROM '#'", s3("${newuuid()}")))
        engine.start()
        for message_id in ("a", "b", "a"):
            await take(engine, message({"id": message_id}), message_id=message_id)
        await settled(engine)
        await engine.close()
    assert world.puts == 4  # two messages, two rules


async def test_a_passing_failure_is_tried_again_and_only_what_failed(engine: RuleEngine, world: World) -> None:
    await engine.put(rule("r", "SELECT * FROM '#'", {"lambda": {"functionArn": "f"}}, s3("${newuuid()}"), s3("second")))
    world.refuse = [ServiceError("TooManyRequestsException", "busy", status=429), OSError("disk"), ConnectionError()]
    await take(engine, message({"n": 1}))
    await settled(engine)
    assert len(world.invoked) == 1
    assert len(world.objects) == 2
    metrics = engine.metrics()["r"]
    assert (metrics.success, metrics.failure) == (3, 0) and metrics.retries >= 1


async def test_what_will_not_pass_goes_to_the_error_action_in_one_report(engine: RuleEngine, world: World) -> None:
    error_action = s3("errors/${replace(topic(), '/', '-')}-${timestamp()}", "failed")
    await engine.put(
        rule(
            "r", "SELECT * FROM '#'", s3("one", "nobucket"), {"lambda": {"functionArn": "g"}}, errorAction=error_action
        )
    )
    world.refuse = [
        ServiceError("NoSuchBucket", "The specified bucket does not exist", status=404),
        ServiceError("ResourceNotFoundException", "no function", status=404),
    ]
    await take(engine, message({"n": 1}, topic="a/b"))
    await settled(engine)
    ((where, data),) = world.objects.items()
    assert where == ("failed", "errors/a-b-1000")
    report = json.loads(data)
    assert (report["ruleName"], report["topic"], report["clientId"]) == ("r", "a/b", "bed3")
    assert base64.b64decode(report["base64OriginalPayload"]) == b'{"n": 1}'
    assert [(f["failedAction"], f["failedResource"]) for f in report["failures"]] == [
        ("S3Action", "nobucket"),
        ("LambdaAction", "g"),
    ]
    assert "NoSuchBucket" in report["failures"][0]["errorMessage"]
    assert engine.metrics()["r"].failure == 2


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_never_passes_is_given_up_after_some_tries(engine: RuleEngine, world: World, qos: int) -> None:
    await engine.put(rule("r", "SELECT * FROM '#'", s3("one"), errorAction={"lambda": {"functionArn": "report"}}))
    world.refuse = [OSError("full")] * (engine_module.MAX_TRIES if qos else 3)
    await take(engine, message({"n": 1}), qos)
    await settled(engine)
    assert world.objects == {} and [name for name, _ in world.invoked] == ["report"]


async def test_a_binary_payload_passes_to_s3_and_fails_for_lambda(engine: RuleEngine, world: World) -> None:
    await engine.put(rule("raw", "SELECT * FROM '#'", s3("raw"), {"lambda": {"functionArn": "f"}}))
    await engine.put(rule("plus", "SELECT *, 1 AS x FROM '#'", s3("plus"), errorAction=s3("error")))
    await take(engine, message(b"\x00\xff"))
    await settled(engine)
    assert world.objects["b", "raw"] == b"\x00\xff"
    assert "application/octet-stream" in world.types
    assert world.invoked == [] and engine.metrics()["raw"].failure == 1
    report = json.loads(world.objects["b", "error"])
    assert report["failures"][0]["failedAction"] == "Select" and engine.metrics()["plus"].parse_errors == 1


async def test_a_disabled_or_deleted_rule_runs_no_more(engine: RuleEngine, world: World) -> None:
    heard: list[tuple[str, bool]] = []
    await engine.put(rule("r", "SELECT * FROM '#'", s3("${n}")))
    engine.on_change(lambda name, compiled: heard.append((name, compiled is not None)))
    await engine.put(rule("r", "SELECT * FROM '#'", s3("${n}"), ruleDisabled=True))
    await take(engine, message({"n": 1}))
    await engine.delete("r")
    await take(engine, message({"n": 2}))
    await settled(engine)
    assert world.objects == {}
    assert heard == [("r", True), ("r", False), ("r", False)]


async def test_messages_of_one_topic_keep_their_order(engine: RuleEngine, world: World) -> None:
    await engine.put(rule("r", "SELECT * FROM '#'", {"lambda": {"functionArn": "${topic()}"}}))
    for n in range(100):
        await take(engine, message({"n": n}, topic=f"t{n % 3}"))
    await settled(engine)
    for topic in ("t0", "t1", "t2"):
        numbers = [payload["n"] for name, payload in world.invoked if name == topic]
        assert numbers == sorted(numbers) and len(numbers) >= 33


ASKING = "SET @f = aws_lambda('f', {'n': n, 'id': newuuid()}) SELECT @f.n AS n, @f.id AS id FROM '#' WHERE @f.n > 2"


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_function_is_asked_before_the_actions_run(engine: RuleEngine, world: World, qos: int) -> None:
    await engine.put(rule("r", ASKING, s3("${n}-${@f.n}"), s3("again-${@f.id}")))
    world.refuse = [ServiceError("TooManyRequestsException", "busy", status=429)]
    for n in (0, 1, 2):
        await take(engine, message({"n": n}), qos)
    await settled(engine)
    first, second = world.objects.items()
    made = json.loads(first[1])
    assert first[0] == ("b", "2-3") and made["n"] == 3
    assert second[0] == ("b", f"again-{made['id']}")
    assert world.asked == 3
    metrics = engine.metrics()["r"]
    assert (metrics.evaluated, metrics.matched, metrics.success, metrics.retries) == (3, 1, 2, 1)


async def test_a_function_that_does_not_answer_is_reported(engine: RuleEngine, world: World) -> None:
    await engine.put(rule("r", ASKING, s3("never"), errorAction=s3("failed-${@f.n}")))
    world.refuse = [OSError("away")] * engine_module.MAX_TRIES
    await take(engine, message({"n": 9}))
    await settled(engine)
    ((where, data),) = world.objects.items()
    assert where == ("b", "failed-")
    failure = json.loads(data)["failures"][0]
    assert failure["failedAction"] == "Select" and "aws_lambda() failed: OSError: away" in failure["errorMessage"]
    metrics = engine.metrics()["r"]
    assert (metrics.matched, metrics.parse_errors, metrics.actions["ErrorAction", "success"]) == (0, 1, 1)


async def test_too_many_waiting_is_refused_rather_than_lost(
    store: EmbeddedStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from littoral.store.contract import StreamFull

    monkeypatch.setattr(engine_module, "MAX_WAITING", 3)
    engine = await opened(store, world)
    await engine.put(rule("r", "SELECT * FROM '#'", s3("${n}")))
    for n in range(3):
        await take(engine, message({"n": n}))
    with pytest.raises(StreamFull):
        await take(engine, message({"n": 3}))
    engine.start()
    await settled(engine)
    await engine.close()
    assert len(world.objects) == 3
