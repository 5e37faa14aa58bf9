"""Events of a quick function wait in the mailbox of a busy instance, and do not wait there for a slow one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from littoral.aws.requestid import new_request_id
from littoral.aws.service import ServiceError
from littoral.functions.line import BATCH, DEPTH, KNOWN, SILENCE, Pace
from tests.functions.deploy import Answer, Place, call
from tests.functions.meeting import Meeting

SOURCES = {
    "python": """
import os, signal, socket, sys, time
def handler(e, c):
    if isinstance(e, dict):
        if "meet" in e:
            line = socket.create_connection(("127.0.0.1", e["meet"]))
            line.sendall(b"here\\n")
            line.recv(1)
        if "say" in e:
            print(e["say"])
        if "exit" in e:
            os._exit(e["exit"])
        if "die" in e:
            os.kill(os.getpid(), signal.SIGKILL)
        if "eat" in e:
            raise MemoryError
        if "fail" in e:
            raise ValueError(e["fail"])
        if "hang" in e:
            time.sleep(60)
        if "left" in e:
            return [c.get_remaining_time_in_millis(), c.aws_request_id, os.environ["_X_AMZN_TRACE_ID"]]
    return [e, c.log_stream_name]
""",
    "node": """
const net = require('net');
exports.handler = async (e, c) => {
  if (e && typeof e === 'object') {
    if (e.meet) await new Promise((resolve) => {
      const line = net.connect(e.meet, '127.0.0.1', () => line.write('here\\n'));
      line.on('data', () => { line.destroy(); resolve(); });
    });
    if (e.say) console.log(e.say);
    if (e.write) process.stdout.write(`${e.write}\\n`);
    if (e.exit) process.exit(e.exit);
    if (e.die) process.kill(process.pid, 'SIGKILL');
    if (e.eat) {
      setImmediate(() => { throw new Error('late'); });
      await new Promise((resolve) => setTimeout(resolve, 60000));
    }
    if (e.fail) throw new Error(e.fail);
    if (e.hang) await new Promise((resolve) => setTimeout(resolve, 60000));
    if (e.left) return [c.getRemainingTimeInMillis(), c.awsRequestId, process.env._X_AMZN_TRACE_ID];
  }
  return [e, c.logStreamName];
};
""",
}


@pytest_asyncio.fixture(params=SOURCES)
async def quick(place: Place, request: pytest.FixtureRequest) -> Place:
    """A place with a function that is known to be quick and has one instance."""
    await getattr(place, request.param)(SOURCES[request.param], timeout=30)
    await _known(place)
    return place


@pytest_asyncio.fixture
async def meeting() -> AsyncIterator[Meeting]:
    async with Meeting() as opened:
        yield opened


async def _known(place: Place, name: str = "f") -> None:
    for count in range(KNOWN + 1):
        assert (await place.invoke(count, name)).result[0] == count
    assert _instances(place) == 1
    _pace(place, name).depth = DEPTH  # however slow the machine is now


def _instances(place: Place) -> int:
    stats = place.functions.stats()
    return int(stats["idle"] + stats["busy"])


def _pace(place: Place, name: str = "f") -> Pace:
    return next(pool.pace for pool in place.functions._parts.scheduler._pools.values() if pool.version.name == name)


def _waiting(place: Place) -> int:
    """Events that were given to an instance which has another."""
    pools = place.functions._parts.scheduler._pools.values()
    return sum(max(0, len(each.line) - 1) for pool in pools for each in pool.busy)


async def _all(place: Place, events: list[Any]) -> list[Answer]:
    """Given in one turn of the loop, so that all but the first find their instance busy."""
    tasks = [asyncio.create_task(place.invoke(event)) for event in events]
    waited = 0
    while not waited and not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        waited = _waiting(place)
    assert waited
    return await asyncio.gather(*tasks)


async def test_each_gets_its_own_answer(quick: Place) -> None:
    answers = await _all(quick, [f"event {number}" for number in range(12)])
    assert [each.result[0] for each in answers] == [f"event {number}" for number in range(12)]
    for each in answers:
        assert [line.split()[0] for line in each.log] == ["START", "END", "REPORT"]
        assert each.log[0].split()[2] == each.log[1].split()[2] == each.log[2].split()[2]
    assert len({each.log[0] for each in answers}) == 12
    assert quick.functions.running() == {}


async def test_who_waits_behind_a_slow_one_goes_to_another_instance(quick: Place, meeting: Meeting) -> None:
    slow = asyncio.create_task(quick.invoke({"meet": meeting.port}))
    gate = await meeting.next()
    answers = await _all(quick, list(range(6)))  # all of them while it runs, as a function that invokes itself does
    assert [each.result[0] for each in answers] == list(range(6))
    assert not slow.done()
    gate.let_go()
    assert (await slow).result[0] == {"meet": meeting.port}
    streams = {each.result[1] for each in answers}
    assert (await slow).result[1] not in streams
    logged = await quick.functions.logs.read("/aws/lambda/f")
    for number in range(6):
        request = answers[number].log[0].split()[2]
        assert {each.stream for each in logged if request in each.message} == {answers[number].result[1]}


@pytest.mark.parametrize(("end", "kind"), [({"exit": 3}, "Runtime.ExitError"), ({"die": 1}, "Runtime.ExitError")])
async def test_an_end_takes_one_event_with_it_and_no_other(quick: Place, end: dict[str, int], kind: str) -> None:
    first, *others = await _all(quick, [end, *range(5)])
    assert (first.error, first.result["errorType"]) == ("Unhandled", kind)
    assert [each.result[0] for each in others] == list(range(5))
    assert quick.functions.running() == {}


async def test_an_answer_that_is_an_instance_s_last(quick: Place) -> None:
    first, *others = await _all(quick, [{"eat": 1}, *range(5)])
    assert first.error == "Unhandled"
    assert [each.result[0] for each in others] == list(range(5))


async def test_an_error_is_the_error_of_its_event(quick: Place) -> None:
    answers = await _all(quick, ["a", {"fail": "this one"}, "b"])
    assert [each.error for each in answers] == [None, "Unhandled", None]
    assert answers[1].result["errorMessage"] == "this one"
    assert answers[2].result[0] == "b"


@pytest.mark.parametrize("language", SOURCES)
async def test_a_timeout_is_that_of_the_one_that_hangs(place: Place, language: str) -> None:
    await getattr(place, language)(SOURCES[language], timeout=1)
    await _known(place)
    first, *others = await _all(place, [{"hang": 1}, *range(4), {"left": 1}])
    assert first.result["errorType"] == "Sandbox.Timedout"
    assert "after 1.00 seconds" in first.result["errorMessage"]
    assert [each.result[0] for each in others[:-1]] == list(range(4))
    left, request_id, trace = others[-1].result
    assert 0 < left <= 1000
    assert request_id == others[-1].log[0].split()[2]
    assert trace.startswith("Root=1-")


async def test_words_are_those_of_the_event_that_said_them(quick: Place) -> None:
    answers = await _all(quick, ["a", {"say": "from b"}, "c", {"say": "from d"}, {"say": "from e"}, "f"])
    said = [[line for line in each.log[1:-2] if "from" in line] for each in answers]
    assert [len(each) for each in said] == [0, 1, 0, 1, 1, 0]
    for lines, word in zip([said[1], said[3], said[4]], ["from b", "from d", "from e"], strict=True):
        assert lines[0].endswith(word)
    for each in answers:
        assert each.log[0].startswith("START")
        assert not any("\x00" in line or "littoral" in line for line in each.log)
    assert _pace(quick).depth == 1


async def test_what_is_written_past_the_console_is_marked_as_well(place: Place) -> None:
    await place.node(SOURCES["node"])
    await _known(place)
    answers = await _all(place, ["a", {"write": "from b"}, "c"])
    assert [[line for line in each.log if "from" in line] for each in answers] == [[], ["from b"], []]


async def test_a_caller_that_leaves_leaves_the_others_alone(quick: Place) -> None:
    tasks = [asyncio.create_task(quick.invoke(number)) for number in range(6)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.result().result[0] for task in tasks if not task.cancelled()] == [0, 1, 3, 4, 5]
    while quick.functions.running():  # it goes on to its end
        await asyncio.sleep(0.01)
    assert (await quick.invoke("next")).result[0] == "next"


async def test_one_that_waits_counts_as_one_that_runs(quick: Place) -> None:
    await quick.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=3)
    tasks = [asyncio.create_task(quick.invoke(number)) for number in range(5)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [each for each in done if isinstance(each, ServiceError)]
    assert len(refused) == 2
    assert all(each.code == "TooManyRequestsException" for each in refused)


async def test_a_large_event_goes_beside_the_mailbox(quick: Place) -> None:
    sizes = [10, 3_000, 4_000, 5_000, 200_000, 3_700, 10]
    answers = await _all(quick, ["x" * size for size in sizes])
    assert [len(each.result[0]) for each in answers] == sizes


async def test_a_letter_is_measured_in_bytes(quick: Place) -> None:
    """A header may have letters of two bytes."""
    parts = quick.functions._parts
    target = parts.catalog.called("f")
    runs = [
        parts.runner.run(target, new_request_id(), b'{"left": 1}', trace=f"Root=1-{number}" + "\xe9" * size)
        for number, size in enumerate([10, 1_900, 1_990, 2_500, 3_900])
    ]
    traces = [json.loads(each.payload)[2] for each in await asyncio.gather(*runs)]
    assert [each[: len("Root=1-0")] for each in traces] == [f"Root=1-{number}" for number in range(5)]


async def test_others_find_no_room_and_wait_again(quick: Place, meeting: Meeting) -> None:
    """There is no memory for a further instance: who waits, waits, and is answered in the end."""
    slow = asyncio.create_task(quick.invoke({"meet": meeting.port}))
    gate = await meeting.next()
    scheduler = quick.functions._parts.scheduler
    scheduler._capacity.budget, budget = 0, scheduler._capacity.budget
    waiting = [asyncio.create_task(quick.invoke(number)) for number in range(4)]
    while quick.functions.running().get("f", 0) < 5:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    gate.let_go()
    assert [(await task).result[0] for task in waiting] == list(range(4))
    scheduler._capacity.budget = budget
    await slow


async def test_an_alias_and_asynchronous_events_are_served_alike(quick: Place) -> None:
    payloads = [json.dumps(number).encode() for number in range(8)]
    await asyncio.gather(
        *(quick.api.invoke(call(), function_name="f", payload=each, invocation_type="Event") for each in payloads)
    )
    while quick.functions.stats()["warm"] < KNOWN + 8:
        await asyncio.sleep(0.01)
    assert quick.functions.stats()["errors"] == 0


def _took(pace: Pace, seconds: float, events: int = BATCH) -> None:
    for _ in range(events // BATCH):
        pace.took += [seconds] * BATCH
        pace.reckon()


def test_who_may_wait() -> None:
    pace = Pace()
    assert pace.depth == 1  # nothing is known yet
    _took(pace, 0.00002, KNOWN)
    assert pace.depth == DEPTH
    pace.spoke()
    assert pace.depth == 1
    _took(pace, 0.00002, SILENCE - BATCH)
    assert pace.depth == 1
    _took(pace, 0.0005, 10 * BATCH)
    assert 2 <= pace.depth <= 3  # more would wait for more than a millisecond
    _took(pace, 10.0, 10 * BATCH)
    assert pace.depth == 1
    pace.took += [0.00002] * 15 + [10.0]  # one that was long says little
    pace.reckon()
    assert pace.depth > 1


def test_who_is_soon_taken() -> None:
    pace = Pace()
    assert pace.soon(5) == 0  # nothing is known yet
    pace.took += [0.1, 0.00005, 0.00005]
    assert 20 < pace.soon(1) < 40
    assert pace.soon(0) == 0
    pace.took.clear()
    _took(pace, 0.1)
    assert pace.soon(10) == 0
