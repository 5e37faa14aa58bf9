"""Who waits for an instance takes whichever comes first, and waits for none that does not come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from littoral.aws.invoke import Invocation
from littoral.functions.instance import Instance
from littoral.functions.line import BATCH
from littoral.functions.pool import Pool
from littoral.functions.version import FunctionVersion
from tests.functions.deploy import Place
from tests.functions.meeting import Meeting

# Its init phase and its handler meet the test where a file or an event says so. It prints: no event waits in a mailbox.
MEETS = """
import os, socket, uuid
me = uuid.uuid4().hex
def meet(port):
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"here\\n")
        line.recv(1)
if "INIT" in os.environ:
    meet(int(os.environ["INIT"]))
def handler(event, context):
    print("here")
    if event:
        meet(event)
    return me
"""


@pytest_asyncio.fixture
async def meeting() -> AsyncIterator[Meeting]:
    async with Meeting() as opened:
        yield opened


def _pool(place: Place) -> Pool:
    (pool,) = place.functions._parts.scheduler._pools.values()
    return pool


async def test_an_event_that_waits_for_a_start_takes_the_instance_that_is_idle_first(
    place: Place, meeting: Meeting
) -> None:
    await place.python(MEETS, timeout=30, environment={"Variables": {"INIT": str(meeting.port)}})
    first = asyncio.create_task(place.invoke(meeting.port))
    (await meeting.next()).let_go()  # the init phase
    handler = await meeting.next()
    second = asyncio.create_task(place.invoke(0))
    init = await meeting.next()  # of an instance that was started for it
    assert place.functions.stats()["busy"] == 2
    handler.let_go()
    one, other = await first, await second
    assert one.result == other.result
    assert "Init Duration" in one.report and "Init Duration" not in other.report
    init.let_go()
    while _pool(place).starting:
        await asyncio.sleep(0.01)
    assert place.functions.stats()["idle"] == 2
    assert place.functions.running() == {}
    third = await place.invoke(0)
    assert third.result != one.result and "Init Duration" not in third.report  # nobody waited for it


async def test_no_instance_is_started_for_whom_those_at_work_soon_take(place: Place) -> None:
    await place.python(MEETS, timeout=30)
    for _ in range(BATCH + 1):
        await place.invoke(0)
    pool = _pool(place)
    pool.pace.took.clear()
    pool.pace._typical = 0.00005  # however slow the machine is now
    tasks = [asyncio.create_task(place.invoke(0)) for _ in range(8)]
    while not pool.backlog:
        await asyncio.sleep(0)
    assert pool.starting == 0
    answers = await asyncio.gather(*tasks)
    assert [each.error for each in answers] == [None] * 8


async def test_nobody_waits_for_an_instance_that_hangs(place: Place, meeting: Meeting) -> None:
    """As a function does that calls itself."""
    await place.python(MEETS, timeout=30)
    for _ in range(BATCH + 1):
        await place.invoke(0)
    pool = _pool(place)
    pool.pace.took.clear()
    pool.pace._typical = 0.00005
    first = asyncio.create_task(place.invoke(meeting.port))
    gate = await meeting.next()
    answers = await asyncio.gather(*(place.invoke(0) for _ in range(4)))
    assert not first.done()
    gate.let_go()
    assert (await first).result not in {each.result for each in answers}


async def test_a_start_that_fails_is_the_failure_of_one_event(place: Place, meeting: Meeting) -> None:
    source = MEETS.replace(
        'meet(int(os.environ["INIT"]))', 'meet(int(os.environ["INIT"]))\n    raise OSError("no luck")'
    )
    await place.python(source, timeout=30, environment={"Variables": {"INIT": str(meeting.port)}})
    tasks = [asyncio.create_task(place.invoke(0)) for _ in range(3)]
    for count in range(3):
        (await meeting.next()).let_go()
        while sum(task.done() for task in tasks) <= count:
            await asyncio.sleep(0.01)
    answers = await asyncio.gather(*tasks)
    assert [each.result["errorType"] for each in answers] == ["OSError"] * 3
    assert all("Init Duration" in each.report for each in answers)
    assert place.functions.stats()["busy"] == 0 and place.functions.running() == {}


def looks_late(place: Place, monkeypatch: pytest.MonkeyPatch, until: Callable[[Instance], Awaitable[None]]) -> None:
    """The place gets an instance no sooner than that."""
    starts = place.functions._parts.scheduler.starts
    launch = starts._launch

    async def late(version: FunctionVersion) -> Instance:
        instance = await launch(version)
        async with asyncio.timeout(20):
            await until(instance)
        return instance

    monkeypatch.setattr(starts, "_launch", late)


@pytest.mark.parametrize("last", ["", "import nothing_like_it", "os._exit(3)"])
async def test_an_init_phase_that_is_over_before_the_place_looks_is_in_log_and_report(
    place: Place, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    async def over(instance: Instance) -> None:
        await asyncio.wait([instance._ready])
        while last and instance.alive:
            await asyncio.sleep(0.01)

    looks_late(place, monkeypatch, over)
    await place.python(f"import os, time\nprint('importing')\ntime.sleep(0.02)\n{last}\ndef handler(e, c): pass\n")
    answer = await place.invoke()
    assert (answer.error is None) is not bool(last)
    assert answer.log[0] == "importing" and sum(line.startswith("START") for line in answer.log) == 1
    took = re.search(r"Billed Duration: (\d+) ms.*Init Duration: (\d+)", answer.report)
    assert took is not None and int(took[1]) >= int(took[2]) >= 20


async def test_an_instance_that_has_booted_before_the_place_looks_keeps_no_other_from_it(
    place: Place, meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def booted(instance: Instance) -> None:
        while not instance.booted:
            await asyncio.sleep(0)

    looks_late(place, monkeypatch, booted)
    await place.python(MEETS, timeout=30, environment={"Variables": {"INIT": str(meeting.port)}})
    running = asyncio.create_task(place.invoke(0))
    init = await meeting.next()
    async with asyncio.timeout(20):
        while _pool(place).booting:
            await asyncio.sleep(0)
    assert _pool(place).starting == 1
    init.let_go()
    assert (await running).error is None


async def test_a_caller_that_leaves_while_it_waits_leaves_its_event(place: Place, meeting: Meeting) -> None:
    """On Lambda, too, what was accepted runs."""
    await place.python(MEETS, timeout=30, environment={"Variables": {"INIT": str(meeting.port)}})
    leaves = asyncio.create_task(place.invoke(0))
    init = await meeting.next()
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    assert place.functions.running() == {"f": 1}
    init.let_go()
    while place.functions.running():
        await asyncio.sleep(0.01)
    logged = [each.message for each in await place.functions.logs.read("/aws/lambda/f")]
    assert [line.split(" ")[0] for line in logged] == ["INIT_START", "START", "here", "END", "REPORT"]


async def test_what_is_under_way_has_its_start_in_the_log(place: Place, meeting: Meeting) -> None:
    await place.python(MEETS.replace('    print("here")\n', ""), timeout=30)
    running = asyncio.create_task(place.invoke(0))
    assert (await running).error is None
    under_way = asyncio.ensure_future(place.functions.invoke(Invocation("f", str(meeting.port).encode())))
    gate = await meeting.next()
    logged = [each.message for each in await place.functions.logs.read("/aws/lambda/f")]
    assert [line.split(" ")[0] for line in logged] == ["INIT_START", "START", "END", "REPORT", "START"]
    gate.let_go()
    await under_way
    logged = [each.message for each in await place.functions.logs.read("/aws/lambda/f")]
    assert [line.split(" ")[0] for line in logged[-3:]] == ["START", "END", "REPORT"]
    assert logged[-1].split()[2] == logged[-3].split()[2]
