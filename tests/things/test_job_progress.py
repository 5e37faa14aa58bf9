"""What jobs do in time, with a clock that is moved by hand: rates, timers, schedules, and going on after a stop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from littoral.protocols.jobs.execution import Update
from littoral.store.embedded import EmbeddedStore
from littoral.things.events import Events
from littoral.things.jobs import Job, Jobs, Progress
from littoral.things.jobs.facts import Settings
from littoral.things.jobs.progress import canceled
from littoral.things.names import Names
from littoral.things.registry import Registry, Thing
from tests.things.conftest import ARN, Clock

THINGS = [f"t{number}" for number in range(10)]


class Fleet:
    """A registry with things, and the jobs of it."""

    def __init__(self, store: EmbeddedStore, clock: Clock) -> None:
        records = store.records("things")
        names = Names("us-east-1", "000000000000")
        self.clock = clock
        self.told: list[tuple[str, Any]] = []
        self.registry = Registry(records)
        self.jobs = Jobs(records, names, self._tell, clock, Events(self._tell))
        self.progress = Progress(self.jobs, self.registry, names, records)

    async def _tell(self, topic: str, payload: bytes) -> None:
        self.told.append((topic, json.loads(payload)))

    async def open(self) -> Fleet:
        await self.registry.load()
        for name in THINGS:
            if name not in self.registry.things:
                await self.registry.things.put(name, Thing(name, name))
        await self.jobs.open()
        await self.progress.open()
        return self

    async def make(self, name: str = "j", things: list[str] = THINGS, **more: Any) -> None:
        now = self.clock()
        settings = Settings(**more.pop("settings", {}))
        targets = tuple(ARN + "thing/" + thing for thing in things)
        job = Job(name, targets, "SNAPSHOT", '{"a": 1}', now, now, settings=settings, **more)
        await self.progress.remember(job)
        await self.progress.put(job)
        await self.progress.sweep()

    def job(self, name: str = "j") -> Job:
        found = self.jobs.table.get(name)
        assert found is not None
        return found

    def counts(self, name: str = "j") -> dict[str, int]:
        return {status: count for status, count in self.jobs.executions.counts(name).items() if count}


@pytest.fixture
async def fleet(store: EmbeddedStore, clock: Clock) -> Fleet:
    return await Fleet(store, clock).open()


async def test_a_rollout_goes_on_in_the_next_minute(fleet: Fleet, clock: Clock) -> None:
    await fleet.make(settings={"rollout": {"maximumPerMinute": 4}})
    for seconds, told in ((0, 4), (59, 4), (1, 8), (30, 8), (30, 10)):
        clock.now += seconds
        await fleet.progress.sweep()
        assert fleet.counts() == {"QUEUED": told}
    assert fleet.job().status == "IN_PROGRESS"


async def test_a_timer_ends_an_execution_or_has_it_tried_again(fleet: Fleet, clock: Clock) -> None:
    retry = {"criteriaList": [{"failureType": "TIMED_OUT", "numberOfRetries": 1}]}
    await fleet.make(things=["t0"], settings={"timeout": {"inProgressTimeoutInMinutes": 5}, "retry": retry})
    for left in ({"QUEUED": 1}, {"TIMED_OUT": 1}):
        await fleet.jobs.start_next("t0", None, None)
        clock.now += 299
        await fleet.progress.sweep()
        assert fleet.counts() == {"IN_PROGRESS": 1}
        clock.now += 1
        await fleet.progress.sweep()
        assert fleet.counts() == left
    assert fleet.job().status == "COMPLETED"
    assert fleet.told[-1] == ("$aws/things/t0/jobs/notify-next", {"timestamp": int(clock.now)})


@pytest.mark.parametrize(
    ("behavior", "status", "counts"),
    [
        ("STOP_ROLLOUT", "IN_PROGRESS", {"QUEUED": 1, "IN_PROGRESS": 1}),
        ("CANCEL", "CANCELED", {"CANCELED": 1, "IN_PROGRESS": 1}),
        ("FORCE_CANCEL", "CANCELED", {"CANCELED": 2}),
    ],
)
async def test_a_schedule_begins_and_ends(
    fleet: Fleet, clock: Clock, behavior: str, status: str, counts: dict[str, int]
) -> None:
    start = clock.now + 100
    rollout = {"rollout": {"maximumPerMinute": 1}}
    schedule = {"endBehavior": behavior}
    await fleet.make(status="SCHEDULED", starts=start, ends=start + 119, schedule=schedule, settings=rollout)
    assert fleet.counts() == {}
    clock.now = start
    await fleet.progress.sweep()
    await fleet.jobs.start_next("t0", None, None)
    clock.now += 60
    await fleet.progress.sweep()
    clock.now += 60  # the end has passed: nobody new
    await fleet.progress.sweep()
    assert (fleet.job().status, fleet.counts()) == (status, counts)
    if behavior == "STOP_ROLLOUT":
        for thing in ("t0", "t1"):
            await fleet.jobs.update(thing, "j", Update("SUCCEEDED"))
        await fleet.progress.sweep()
        assert fleet.job().status == "COMPLETED"


async def test_a_cancel_that_was_only_written_is_carried_out_after_a_restart(
    fleet: Fleet, store: EmbeddedStore, clock: Clock
) -> None:
    await fleet.make()
    await fleet.jobs.table.put("j", canceled(fleet.job(), clock.now, None, None, force=False))  # and then it is killed
    again = await Fleet(store, clock).open()
    assert again.counts() == {"QUEUED": 10}
    await again.progress.sweep()
    assert again.counts() == {"CANCELED": 10}


async def test_a_thing_that_is_deleted_leaves_its_jobs(fleet: Fleet) -> None:
    await fleet.make(settings={"rollout": {"maximumPerMinute": 9}})
    for gone in ("t0", "t9"):  # told already; and not told yet
        await fleet.registry.things.delete(gone)
        fleet.registry.fleet_changed(gone)
    await fleet.progress.sweep()
    assert fleet.counts() == {"QUEUED": 8, "REMOVED": 1}
    for thing in THINGS[1:9]:
        await fleet.jobs.update(thing, "j", Update("SUCCEEDED"))
    await fleet.progress.sweep()
    assert fleet.job().status == "COMPLETED"


async def test_things_are_told_within_a_maintenance_window_only(fleet: Fleet, clock: Clock) -> None:
    clock.now = 10 * 86_400 + 9 * 3600.0  # nine in the morning
    windows = [{"startTime": "cron(0 18 * * ? *)", "durationInMinutes": 30}]
    rollout = {"rollout": {"maximumPerMinute": 6}}
    await fleet.make(schedule={"maintenanceWindows": windows}, settings=rollout)
    for hour, minute, told in ((17, 59, 0), (18, 0, 6), (18, 0, 6), (18, 29, 10)):
        clock.now = 10 * 86_400 + hour * 3600.0 + minute * 60
        await fleet.progress.sweep()
        assert sum(fleet.counts().values()) == told
    await fleet.make("late", schedule={"maintenanceWindows": windows})
    assert fleet.counts("late") == {"QUEUED": 10}
    clock.now += 60  # the window has closed
    await fleet.make("later", schedule={"maintenanceWindows": windows})
    assert fleet.counts("later") == {}
