"""Asynchronous events: durable, retried, handed on; a real sink takes what ends outside functions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.invoke import Invocation
from tests.functions.deploy import Place, call, place_in, zip_of
from tests.functions.meeting import Meeting

TOPIC = "arn:aws:sns:us-east-1:000000000000:ended"
QUICK = {"retry_delays": (0.01, 0.02), "throttle_delays": (0.01, 0.05)}


class Topic:
    """A destination that is not a function."""

    def __init__(self) -> None:
        self.records: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def accepts(self, arn: str) -> bool:
        return arn == TOPIC

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        self.records.put_nowait(record)


async def _to_topic(place: Place, name: str = "f", **given: Any) -> None:
    destinations = {"OnSuccess": {"Destination": TOPIC}, "OnFailure": {"Destination": TOPIC}}
    await place.api.put_function_event_invoke_config(
        call(), function_name=name, destination_config=destinations, **given
    )


async def _send(place: Place, event: Any, name: str = "f") -> None:
    output = await place.api.invoke(
        call(), function_name=name, invocation_type="Event", payload=json.dumps(event).encode()
    )
    assert output == {"StatusCode": 202}


async def test_success_reaches_the_on_success_destination_as_awss_record(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.python("def handler(e, c): return {'saw': e}")
        await _to_topic(place)
        await _send(place, {"bed": 7})
        record = await topic.records.get()
        request = record["requestContext"]
        assert record["version"] == "1.0" and record["requestPayload"] == {"bed": 7}
        assert request["functionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"
        assert (request["condition"], request["approximateInvokeCount"]) == ("Success", 1)
        assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
        assert record["responsePayload"] == {"saw": {"bed": 7}}


@pytest.mark.parametrize(("retries", "attempts"), [(None, 3), (1, 2), (0, 1)])
async def test_errors_are_retried_then_handed_to_on_failure(tmp_path: Path, retries: int | None, attempts: int) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.python("def handler(e, c):\n    print('try', c.aws_request_id)\n    raise ValueError(e)\n")
        await _to_topic(place, maximum_retry_attempts=retries)
        await _send(place, "broken")
        record = await topic.records.get()
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == attempts
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert record["responsePayload"]["errorMessage"] == "broken"
        lines = [each.message for each in await place.functions.logs.read("/aws/lambda/f")]
        request_id = record["requestContext"]["requestId"]
        assert lines.count(f"try {request_id}") == attempts  # every attempt under the one request id


async def test_the_dead_letter_target_gets_what_failed_and_a_deleted_setting_ends_it(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        made = await place.python("def handler(e, c): raise ValueError(e)", dead_letter_config={"TargetArn": TOPIC})
        assert made["DeadLetterConfig"] == {"TargetArn": TOPIC}
        await _send(place, {"bed": 7})
        record = await topic.records.get()
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert (record["requestPayload"], record["requestContext"]["approximateInvokeCount"]) == ({"bed": 7}, 3)
        update = place.api.update_function_configuration
        shown = await update(call(), function_name="f", dead_letter_config={"TargetArn": ""})
        assert "DeadLetterConfig" not in shown
        await _to_topic(place, maximum_retry_attempts=0)
        await update(call(), function_name="f", dead_letter_config={"TargetArn": TOPIC})
        await _send(place, 1)  # now both have it: the destination first
        assert [(await topic.records.get())["requestPayload"] for _ in range(2)] == [1, 1]
        assert topic.records.empty()


async def test_a_failure_may_go_to_another_function(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.python("def handler(e, c): raise ValueError(e)")
        await place.python("def handler(e, c): return e['requestContext']['condition']", "after")
        await _to_topic(place, "after")
        await place.api.put_function_event_invoke_config(
            call(),
            function_name="f",
            maximum_retry_attempts=0,
            destination_config={"OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:after"}},
        )
        await place.functions.invoke_async(Invocation("f", b'"x"'))
        assert (await topic.records.get())["responsePayload"] == "RetriesExhausted"


async def test_throttled_events_wait_until_they_may_run(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, concurrency=1, **QUICK) as place:
        await place.python("import time\ndef handler(e, c):\n    time.sleep(0.01)\n    return e\n")
        await _to_topic(place)
        await asyncio.gather(*(_send(place, number) for number in range(20)))
        seen = [(await topic.records.get())["responsePayload"] for _ in range(20)]
        assert sorted(seen) == list(range(20))


async def test_a_function_that_is_switched_off_fails_its_events_at_once(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.python("def handler(e, c): return e")
        await _to_topic(place)
        await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=0)
        await _send(place, 1)
        record = await topic.records.get()
        assert record["requestContext"]["approximateInvokeCount"] == 0 and "responsePayload" not in record


async def test_events_that_are_too_old_are_given_up(tmp_path: Path) -> None:
    import time

    ahead = [0.0]
    topic = Topic()
    async with place_in(tmp_path, sink=topic, clock=lambda: time.time() + ahead[0], **QUICK) as place:
        await place.python("def handler(e, c): return e")
        await _to_topic(place, maximum_event_age_in_seconds=60)
        ahead[0] = 61.0
        await _send(place, 1)
        assert (await topic.records.get())["requestContext"]["condition"] == "EventAgeExceeded"


async def test_a_loop_of_functions_is_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    stopped = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "loop of functions" in record.getMessage():
                stopped.set()

    watch = Watch()
    logging.getLogger("littoral.functions.delivery").addHandler(watch)
    try:
        async with place_in(tmp_path, **QUICK) as place:
            for name in ("a", "b"):
                await place.python("def handler(e, c): return 1", name)
            for name, other in (("a", "b"), ("b", "a")):
                arn = f"arn:aws:lambda:us-east-1:000000000000:function:{other}"
                await place.api.put_function_event_invoke_config(
                    call(), function_name=name, destination_config={"OnSuccess": {"Destination": arn}}
                )
            await _send(place, 1, "a")
            await stopped.wait()
            stats = place.functions.stats()
            assert stats["cold"] + stats["warm"] == 16
            await place.api.put_function_recursion_config(call(), function_name="a", recursive_loop="Allow")
            stopped.clear()
            await _send(place, 1, "b")
            await stopped.wait()  # by b in the seventeenth step: a, in the sixteenth, may go on
            stats = place.functions.stats()
            assert stats["cold"] + stats["warm"] == 16 + 17
    finally:
        logging.getLogger("littoral.functions.delivery").removeHandler(watch)


KILLED_AFTER_ACCEPTING = """
import asyncio, os, signal, sys
from pathlib import Path
from littoral.aws.invoke import Invocation
from littoral.functions import Functions
from littoral.store.embedded import EmbeddedStore

async def main():
    folder = Path(sys.argv[1])
    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions")  # not started: nothing delivers yet
    for number in range(5):
        await functions.invoke_async(Invocation("f", str(number).encode()))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_an_accepted_event_runs_although_the_place_was_killed(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic) as place:
        await place.python("def handler(e, c): return e * 10")
        await _to_topic(place)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED_AFTER_ACCEPTING, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    async with place_in(tmp_path, sink=topic) as place:
        seen = [(await topic.records.get())["responsePayload"] for _ in range(5)]
        assert sorted(seen) == [0, 10, 20, 30, 40]


KILLED_WHILE_RUNNING = """
import asyncio, sys
from pathlib import Path
from littoral.aws.invoke import Invocation
from littoral.functions import Functions
from littoral.store.embedded import EmbeddedStore

async def main():
    folder = Path(sys.argv[1])
    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions")
    await functions.start()
    for name in ("f", "n"):
        await functions.invoke_async(Invocation(name, b'"first"'))
    await asyncio.Event().wait()

asyncio.run(main())
"""

# Says that it runs, with a daemon left behind, then waits; told that it is run again, it returns.
STAYS_PYTHON = """
import os, socket, time
def meet(word):
    line = socket.create_connection(('127.0.0.1', int(os.environ['MEETING'])))
    line.sendall(word + b'\\n')
    return line
def handler(event, context):
    line = meet(b'python')
    if line.recv(1): return 'again'
    if os.fork() == 0:
        os.setsid()
        line.close()
        if os.fork() == 0:
            meet(b'daemon')
            time.sleep(600)
        os._exit(0)
    time.sleep(600)
"""
STAYS_NODE = """
exports.handler = () => new Promise((resolve) => {
  const line = require('net').connect({ port: +process.env.MEETING, host: '127.0.0.1', allowHalfOpen: true });
  line.write('node\\n');
  line.on('data', () => { line.destroy(); resolve('again'); });
  setTimeout(() => {}, 600000);
});
"""


async def test_killing_the_place_ends_all_its_processes_and_its_events_run_again(tmp_path: Path) -> None:
    topic = Topic()
    async with Meeting() as meeting:
        async with place_in(tmp_path, sink=topic) as place:
            variables = {"Variables": {"MEETING": str(meeting.port)}}
            await place.python(STAYS_PYTHON, timeout=900, environment=variables)
            await place.node(STAYS_NODE, "n", timeout=900, environment=variables)
            await _to_topic(place)
            await _to_topic(place, "n")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED_WHILE_RUNNING, str(tmp_path))
        met = [await meeting.next(), await meeting.next()]
        for each in met:
            each.writer.write_eof()  # stay
        met.append(await meeting.next())
        assert {each.said for each in met} == {"python", "daemon", "node"}
        process.kill()
        await process.wait()
        for each in met:
            await each.ended()
        async with place_in(tmp_path, sink=topic) as place:
            for _ in range(2):
                (await meeting.next()).let_go()
            assert [(await topic.records.get())["responsePayload"] for _ in range(2)] == ["again", "again"]


async def _ended(pidfd: int) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_reader(pidfd, lambda: done.done() or done.set_result(None))
    try:
        await done
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def test_a_small_place_has_a_keeper_once_it_has_a_function(tmp_path: Path) -> None:
    async with place_in(tmp_path, from_start=False) as place:
        keepers = place.functions._parts.launcher._keepers._keepers
        assert not keepers
        await place.python("def handler(e, c): return e")
        assert [each.alive for each in keepers.values()] == [True]  # before the first event
        assert (await place.invoke()).error is None


async def test_a_keeper_that_dies_is_replaced(place: Place) -> None:
    await place.python("import uuid\nme = uuid.uuid4().hex\ndef handler(e, c): return me")
    first = (await place.invoke()).result
    (keeper,) = [each.pid for each in place.functions._parts.launcher._keepers._keepers.values()]
    assert keeper is not None
    handle = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGKILL)
    await _ended(handle)
    answer = await place.invoke()
    async with asyncio.timeout(
        20
    ):  # its instance dies with it, but may answer an event before, or be found dead by one
        while answer.error is not None or answer.result == first:
            answer = await place.invoke()


async def test_events_of_a_deleted_function_are_dropped_and_hold_nothing_up(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.create("gone", zip_of(app__py="def handler(e, c): raise ValueError"), "python3.11", "app.handler")
        await place.python("def handler(e, c): return e")
        await _to_topic(place)
        await _send(place, 1, "gone")
        await place.api.delete_function(call(), function_name="gone")
        await _send(place, 2)
        assert (await topic.records.get())["responsePayload"] == 2


async def test_a_loop_of_calls_ends_at_the_on_failure_destination(tmp_path: Path) -> None:
    topic = Topic()
    async with place_in(tmp_path, sink=topic, **QUICK) as place:
        await place.python("import os\ndef handler(e, c): return os.environ['_X_AMZN_TRACE_ID']")
        await _to_topic(place)
        trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        for count in range(1, 18):
            asked = call()
            asked.request.headers.set("x-amzn-trace-id", trace)
            await place.api.invoke(asked, function_name="f", invocation_type="Event", payload=b"1")
            record = await topic.records.get()
            if count < 17:
                trace = record["responsePayload"]
                assert trace.endswith(f":{count}")
        assert record["requestContext"]["condition"] == "RetriesExhausted" and "responsePayload" not in record
