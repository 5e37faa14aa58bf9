"""What AWS Lambda's Node.js runtime promises to a handler."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from littoral.aws.invoke import Invocation
from tests.functions.deploy import NODE, Place, zip_of

CALLBACKS = [
    # what, body, result, whether a line printed 30 ms after the callback is in the log
    ("waits", "setTimeout(() => cb(null, 'later'), 5)", "later", False),
    ("empty loop", "cb(null, 'now'); setTimeout(() => console.log('after'), 30)", "now", True),
    (
        "no wait",
        "c.callbackWaitsForEmptyEventLoop = false; cb(null, 'now'); setTimeout(() => console.log('after'), 30)",
        "now",
        False,
    ),
    ("done", "c.done(null, 'done')", "done", False),
    ("succeed", "c.succeed({ a: 1 })", {"a": 1}, False),
    ("never", "1", None, False),
    ("undefined", "cb()", None, False),
]


@pytest.mark.parametrize(("body", "result", "after"), [pytest.param(*each[1:], id=each[0]) for each in CALLBACKS])
async def test_callbacks(place: Place, body: str, result: object, after: bool) -> None:
    await place.node(f"exports.handler = (e, c, cb) => {{ {body} }}")
    answer = await place.invoke()
    assert (answer.error, answer.result) == (None, result)
    assert any("after" in line for line in answer.log) == after


async def test_async_common_js_and_es_modules(place: Place) -> None:
    files = {"index__js": "exports.handler = async (e) => ({ got: e, own: require('./own').x })"}
    await place.create("cjs", zip_of(**files, own__js="exports.x = 4"), NODE, "index.handler")
    await place.node("export const handler = async (e) => ({ got: e })", "mjs", file="index__mjs")
    files = {
        "index__js": "import { x } from './own.js'; export const handler = async () => x",
        "own__js": "export const x = 5",
    }
    await place.create("typed", zip_of(**files, package__json='{"type": "module"}'), NODE, "index.handler")
    await place.create("deep", zip_of(**{"src/app__js": "exports.a = { b: async () => 'deep' }"}), NODE, "src/app.a.b")
    await place.node("exports.handler = async () => new Promise(() => {})", "never")
    assert (await place.invoke({"x": 1}, "mjs")).result == {"got": {"x": 1}}
    assert (await place.invoke({}, "typed")).result == 5
    assert (await place.invoke({}, "deep")).result == "deep"
    assert (await place.invoke({}, "never")).result is None
    assert (await place.invoke({"x": 1}, "cjs")).result == {"got": {"x": 1}, "own": 4}


async def test_the_context_is_lambdas(place: Place) -> None:
    await place.node(
        "exports.handler = async (e, c) => ({ ...c, left: c.getRemainingTimeInMillis(), env: { ...process.env } })",
        timeout=5,
        environment={"Variables": {"WARD": "7"}},
    )
    got = (await place.invoke()).result
    assert got["functionName"] == "f" and got["functionVersion"] == "$LATEST" and got["memoryLimitInMB"] == "128"
    assert got["invokedFunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert got["callbackWaitsForEmptyEventLoop"] is True
    assert 0 < got["left"] <= 5000
    assert got["env"]["WARD"] == "7" and got["env"]["AWS_EXECUTION_ENV"] == "AWS_Lambda_nodejs20.x"
    assert not {"HOME", "PYTEST_CURRENT_TEST"} & got["env"].keys()


async def test_console_lines_are_lambdas(place: Place) -> None:
    await place.node("exports.handler = async () => { console.log('hi %d', 7, { a: 1 }); console.error('bad') }")
    log = (await place.invoke()).log
    request_id = log[0].split(" ")[2]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{stamp}\t{request_id}\tINFO\thi 7 {{ a: 1 }}", log[1])
    assert re.fullmatch(rf"{stamp}\t{request_id}\tERROR\tbad", log[2])
    assert log[3] == f"END RequestId: {request_id}"


async def test_warm_instances_keep_their_globals(place: Place) -> None:
    await place.node("let n = 0; exports.handler = async () => ++n")
    assert [(await place.invoke()).result for _ in range(3)] == [1, 2, 3]


async def test_an_error_carries_its_trace_and_is_logged(place: Place) -> None:
    await place.node("exports.handler = async () => { const e = new Error('broken'); e.code = 7; throw e }")
    answer = await place.invoke()
    assert answer.result["trace"][0] == "Error: broken"
    assert re.search(
        r"\tERROR\tInvoke Error \t\{\"errorType\":\"Error\",\"errorMessage\":\"broken\",\"code\":7,", answer.log[1]
    )


async def test_node_24_has_no_callback_handlers(place: Place) -> None:
    archive = zip_of(index__js="exports.handler = (e, c, cb) => cb(null, 1)")
    await place.create("f", archive, "nodejs24.x", "index.handler")
    assert (await place.invoke()).result["errorType"] == "Runtime.CallbackHandlerDeprecated"


async def test_between_events_an_instance_stands_still(place: Place) -> None:
    """As on AWS, where it is frozen: what an event left has one turn of the loop, timers go on with the next one."""
    await place.node(
        "let turned = 0, ticked = 0;\n"
        "exports.handler = async (e) => {\n"
        "  const found = { turned, ticked };\n"
        "  setImmediate(() => turned++);\n"
        "  if (e.wait) { setInterval(() => ticked++, 1).unref(); await new Promise((r) => setTimeout(r, 20)); }\n"
        "  return found;\n"
        "}"
    )
    assert (await place.invoke({"wait": 1})).result == {"turned": 0, "ticked": 0}
    first = (await place.invoke({})).result
    assert first["turned"] == 1
    assert first["ticked"] > 0
    await asyncio.sleep(0.1)
    second = (await place.invoke({})).result
    assert second["turned"] == 2
    assert second["ticked"] <= first["ticked"] + 2  # it did not run for a tenth of a second


async def test_events_and_results_longer_than_a_read(place: Place) -> None:
    await place.node("exports.handler = async (e) => ({ text: e.text, size: e.text.length })")
    for size in (10, 65_000, 65_536, 1_500_000, 3, 1_500_000):
        text = "ä" + "x" * size
        assert (await place.invoke({"text": text})).result == {"text": text, "size": size + 1}


async def test_a_rejection_that_nobody_awaits_ends_the_instance_after_its_answer(place: Place) -> None:
    code = "let n = 0; exports.handler = async (e) => { if (e.bad) Promise.reject(new Error('late')); return ++n }"
    await place.node(code)
    assert (await place.invoke({})).result == 1
    await place.invoke({"bad": 1})
    (pool,) = place.functions._parts.scheduler._pools.values()
    async with asyncio.timeout(10):
        while any(each.alive for each in pool.idle):
            await asyncio.sleep(0.01)
    assert (await place.invoke({})).result == 1  # another instance


async def test_a_replicas_log_group_is_in_its_context(place: Place) -> None:
    """Lambda@Edge: the instance is shared with direct calls, whose group is the function's own."""
    await place.node("exports.handler = async (event, c) => [c.logGroupName, Boolean(c.clientContext), event];")
    replica, own = "/aws/lambda/us-east-1.f", "/aws/lambda/f"
    for context in ({}, {"custom": {"a": 1}}):
        for region, group in (("us-east-1", replica), ("", own)):
            asked = Invocation("f", b'{"bed": 7}', client_context=context, replica_of=region)
            found = await place.functions.invoke(asked)
            assert json.loads(found.payload) == [group, bool(context), {"bed": 7}]
