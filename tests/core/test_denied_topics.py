"""A real region whose policy denies a topic: cut off as AWS does it, by PUBACK, and with the core killed in between."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from littoral.core.draining import DENIED
from littoral.core.spool import Spool
from littoral.store.embedded import EmbeddedStore
from littoral.things.broker.limits import ProfileName
from tests.core.world import ACCOUNT, CORE, REGION, CorePlace, RegionPlace, until

FORBIDDEN = "ward/forbidden"


async def policy(region: RegionPlace, *denied: str) -> None:
    """Of the core: everything but these topics."""
    arns = [f"arn:aws:iot:{REGION}:{ACCOUNT}:topic/{each}" for each in denied]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["iot:*", "greengrass:*"], "Resource": ["*"]}]
        + ([{"Effect": "Deny", "Action": ["iot:Publish"], "Resource": arns}] if arns else []),
    }
    before = (await region.call("iot", "list_policy_versions", policyName="core"))["policyVersions"]
    await region.call(
        "iot", "create_policy_version", policyName="core", policyDocument=json.dumps(document), setAsDefault=True
    )
    for each in before:
        await region.call("iot", "delete_policy_version", policyName="core", policyVersionId=each["versionId"])


def on(region: RegionPlace, topic: str) -> list[Any]:
    return [message for where, message in region.arrived if where == topic]


@pytest.fixture(params=["aws", "mqtt"])
async def region(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RegionPlace]:
    made = RegionPlace(tmp_path / "region")
    rules: ProfileName = request.param
    made.rules = rules
    await made.start()
    yield made
    await made.stop()


async def put(place: CorePlace, topic: str, *numbers: int) -> None:
    for number in numbers:
        await place.core.spool.put(topic, b"%d" % number)


async def test_a_denied_topic_is_set_aside_and_comes_back_when_it_is_allowed(
    region: RegionPlace, place: CorePlace
) -> None:
    spool, denials = place.core.spool, place.core.link.draining.denials
    await policy(region, FORBIDDEN)
    for number in range(60):
        await put(place, FORBIDDEN if number % 20 == 10 else "ward/1", number)
    allowed = [number for number in range(60) if number % 20 != 10]
    await until(lambda: len(on(region, "ward/1")) == len(allowed))
    await until(lambda: len(spool.set_aside) == 3)
    assert on(region, "ward/1") == allowed and not on(region, FORBIDDEN)
    assert [(each.topic, each.reason) for each in spool.set_aside.facts()] == [(FORBIDDEN, DENIED)] * 3
    status = await place.core.operator.status()
    assert (status["spool"]["setAside"], status["spool"]["denied"]) == (3, [FORBIDDEN])
    assert not denials.alone

    await policy(region)
    await put(place, FORBIDDEN, 70)  # its time is not over: not sent, and not lost
    await until(lambda: len(spool.set_aside) == 4)
    retrying = place.core.operator.retrying
    assert await retrying.retry("ward/+") == 4
    await until(lambda: on(region, FORBIDDEN) == [10, 30, 50, 70])
    await until(lambda: not len(spool.set_aside))
    assert denials.quiet


COUNT, EVERY, KILLS = 240, 40, 8


async def test_a_core_killed_while_it_looks_for_the_culprit_loses_nothing_and_blames_no_other(tmp_path: Path) -> None:
    region = RegionPlace(tmp_path / "region")
    await region.start()
    try:
        certificate, key = await region.core_identity()
        files = {"crt": certificate, "key": key, "ca": region.authority.certificate_pem}
        for name, text in files.items():
            (tmp_path / name).write_bytes(text)
        await policy(region, FORBIDDEN)
        await fill(tmp_path / "core")
        command = ["-m", "tests.core.draining_core", str(tmp_path / "core"), str(region.device_port)]
        command += [str(tmp_path / name) for name in files]
        for kill in range(KILLS + 1):
            last = kill == KILLS
            child = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=asyncio.subprocess.PIPE)
            assert child.stdin is not None
            try:
                wanted = COUNT - COUNT // EVERY if last else (kill + 1) * COUNT // (KILLS + 1)
                await until(partial(reached, region, wanted), 60)
            finally:
                if last:
                    child.stdin.close()
                else:
                    child.kill()
                await child.wait()
        arrived = on(region, "ward/1")
        assert arrived == [number for number in range(COUNT) if number % EVERY != EVERY // 2]
        assert not on(region, FORBIDDEN)
        await judge(tmp_path / "core")
    finally:
        await region.stop()


def reached(region: RegionPlace, wanted: int) -> bool:
    return len(on(region, "ward/1")) >= wanted


async def fill(folder: Path) -> None:
    store = await EmbeddedStore.open(folder)
    spool = await Spool.open(store.streams, store.records("core"), CORE)
    for number in range(COUNT):
        await spool.put(FORBIDDEN if number % EVERY == EVERY // 2 else "ward/1", b"%d" % number)
    await store.close()


async def judge(folder: Path) -> None:
    """Of the denied each is set aside, or still waits."""
    store = await EmbeddedStore.open(folder)
    spool = await Spool.open(store.streams, store.records("core"), CORE)
    aside = spool.set_aside.facts()
    assert {each.topic for each in aside} == {FORBIDDEN}
    waiting = [each for each in await spool.fetch(COUNT, wait=0.0) if each.topic == FORBIDDEN]
    ids = {each.message_id for each in aside} | {each.message_id for each in waiting}
    assert len(ids) == COUNT // EVERY
    await store.close()
