"""How many run at once, who is refused, what is reused and what is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.functions import Placement
from tests.functions.deploy import Place, call, place_in, zip_of
from tests.functions.meeting import Meeting

# The handler says that it runs, then waits until the test lets it go; it returns which instance it is.
GATED = (
    "import socket, uuid\nme = uuid.uuid4().hex\n"
    "def handler(event, context):\n"
    "    with socket.create_connection(('127.0.0.1', event)) as gate:\n"
    "        gate.sendall(b'began\\n')\n"
    "        gate.recv(1)\n"
    "    return me\n"
)


@pytest_asyncio.fixture
async def meeting() -> AsyncIterator[Meeting]:
    async with Meeting() as opened:
        yield opened


async def _throttled(place: Place, reason: str, name: str = "f") -> None:
    with pytest.raises(ServiceError) as caught:
        await place.invoke({}, name)
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    assert caught.value.fields["Reason"] == reason


async def test_reserved_concurrency_refuses_what_is_over_and_zero_switches_off(place: Place, meeting: Meeting) -> None:
    await place.python(GATED, timeout=30)
    await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=1)
    running = asyncio.create_task(place.invoke(meeting.port))
    gate = await meeting.next()
    await _throttled(place, "ReservedFunctionConcurrentInvocationLimitExceeded")
    gate.let_go()
    assert (await running).error is None
    await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=0)
    await _throttled(place, "ReservedFunctionConcurrentInvocationLimitExceeded")
    await place.api.delete_function_concurrency(call(), function_name="f")
    assert await place.api.get_function_concurrency(call(), function_name="f") == {}
    assert place.functions.stats()["throttles"] == 2


async def test_the_total_is_shared_by_functions_without_a_reservation(tmp_path: Path, meeting: Meeting) -> None:
    async with place_in(tmp_path, concurrency=10) as place:
        await place.python(GATED, timeout=30)
        await place.python("def handler(e, c): return 1", "other")
        await place.api.put_function_concurrency(call(), function_name="other", reserved_concurrent_executions=9)
        with pytest.raises(ServiceError, match="UnreservedConcurrentExecution below its minimum"):
            await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=1)
        limits = (await place.api.get_account_settings(call()))["AccountLimit"]
        assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (10, 1)
        running = asyncio.create_task(place.invoke(meeting.port))
        gate = await meeting.next()
        await _throttled(place, "ConcurrentInvocationLimitExceeded")
        assert (await place.invoke({}, "other")).result == 1
        gate.let_go()
        await running


async def test_events_at_once_get_instances_of_their_own(place: Place, meeting: Meeting) -> None:
    await place.python(GATED, timeout=30)
    running = [asyncio.create_task(place.invoke(meeting.port)) for _ in range(4)]
    gates = [await meeting.next() for _ in running]
    assert place.functions.stats()["busy"] == 4
    for gate in gates:
        gate.let_go()
    instances = {(await each).result for each in running}
    assert len(instances) == 4
    assert place.functions.stats()["idle"] == 4


async def test_idle_instances_are_ended(place: Place, meeting: Meeting) -> None:
    await place.python(
        "import socket\ndef handler(e, c):\n    global line\n    line = socket.create_connection(('127.0.0.1', e))\n"
        "    line.sendall(b'here\\n')\n"
    )
    assert (await place.invoke(meeting.port)).error is None
    instance = await meeting.next()
    scheduler = place.functions._parts.scheduler
    scheduler.reap(time.monotonic() + 299)
    assert place.functions.stats()["idle"] == 1
    scheduler.reap(time.monotonic() + 301)
    assert place.functions.stats()["idle"] == 0
    await instance.ended()
    assert (await place.invoke(meeting.port)).error is None


async def test_a_caller_that_leaves_does_not_free_the_slot_until_the_handler_is_done(
    place: Place, meeting: Meeting
) -> None:
    await place.python(GATED, timeout=30)
    await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=1)
    running = asyncio.create_task(place.invoke(meeting.port))
    gate = await meeting.next()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await _throttled(place, "ReservedFunctionConcurrentInvocationLimitExceeded")
    gate.let_go()
    while place.functions.running():
        await asyncio.sleep(0.01)
    running = asyncio.create_task(place.invoke(meeting.port))
    (await meeting.next()).let_go()
    assert (await running).error is None
    assert place.functions.stats()["warm"] == 1  # the instance of the abandoned event was kept


async def test_a_pinned_function_has_one_instance_and_takes_events_in_order(place: Place) -> None:
    source = "seen = []\ndef handler(e, c):\n    seen.append(e)\n    return list(seen)\n"
    config = {"Runtime": "python3.11", "Handler": "app.handler"}
    pinned = Placement(max_instances=1, pinned=True, queue=50)
    await place.functions.install("vitals", "3", config, zip_of(app__py=source), placement=pinned)
    results = await asyncio.gather(
        *(place.functions.invoke(Invocation("vitals:3", str(n).encode())) for n in range(50))
    )
    assert results[-1].payload == str(list(range(50))).encode()
    assert place.functions.stats()["cold"] == 1
    place.functions._parts.scheduler.reap(time.monotonic() + 10_000)
    assert place.functions.stats()["idle"] == 1
    with pytest.raises(ServiceError) as caught:
        await asyncio.gather(*(place.functions.invoke(Invocation("vitals:3", b"0")) for n in range(60)))
    assert caught.value.code == "TooManyRequestsException"


async def test_installing_is_idempotent_and_keeps_the_arn(place: Place) -> None:
    archive = zip_of(
        app__py="import uuid\nme = uuid.uuid4().hex\n"
        "def handler(e, c): return [c.invoked_function_arn, c.function_version, me]"
    )
    config = {
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "Timeout": 5,
        "Environment": {"Variables": {"A1": "b"}},
    }
    arn = "arn:aws:lambda:us-east-1:000000000000:function:viewer:3"

    async def run() -> list[object]:
        import json

        return list(json.loads((await place.functions.invoke(Invocation(arn, b"{}"))).payload))

    await place.functions.install("viewer", "3", config, archive)
    first = await run()
    assert first[:2] == [arn, "3"]
    await place.functions.install("viewer", "3", config, archive)
    assert await run() == first  # the warm instance was kept: nothing changed
    await place.functions.install("viewer", "3", {**config, "Timeout": 6}, archive)
    assert (await run())[2] != first[2]
    shown = await place.api.get_function_configuration(call(), function_name="viewer", qualifier="3")
    assert place.functions.installed("viewer", "3") == shown["CodeSha256"]
    await place.functions.install("viewer", "4", config, archive)
    assert (await run())[1] == "3"
    assert await place.functions.remove("viewer") and not await place.functions.remove("viewer")
    with pytest.raises(ServiceError):
        await run()
    with pytest.raises(ServiceError, match="layers, which are not carried"):
        await place.functions.install("viewer", "5", {**config, "Layers": [{"Arn": "x"}]}, archive)
    with pytest.raises(ServiceError, match="numbered version"):
        await place.functions.install("viewer", "$LATEST", config, archive)


PRINTS = {
    "python": "def handler(event, context):\n    for n in range(event):\n        print('line', n)\n    return event\n",
    "node": "exports.handler = async (n) => { for (let i = 0; i < n; i++) console.log('line', i); return n }",
}


@pytest.mark.parametrize("language", PRINTS)
async def test_what_was_printed_stands_before_the_end(place: Place, language: str) -> None:
    """The log pipe and the socket of frames are read in one turn of the loop, in whichever order."""
    await getattr(place, language)(PRINTS[language])

    async def caller(first: int) -> None:
        for size in range(first, first + 40, 4):
            answer = await place.invoke(size)
            assert answer.log[0].startswith("START")
            assert [line.rpartition("line ")[2] for line in answer.log[1:-2]] == [str(n) for n in range(size)]
            assert answer.log[-2].startswith("END")
            assert answer.log[-1].startswith("REPORT")

    await asyncio.gather(*(caller(first) for first in range(6)))
