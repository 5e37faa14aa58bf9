"""The Nucleus component's mqtt settings, and what the spool keeps of a message beside topic and payload."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from littoral.core.mqttsettings import NAME, settings_of
from littoral.core.public import PUBLIC
from littoral.core.recipe import BadComponent
from littoral.core.spool import MESSAGE_ID, Extras, Spool, SpoolLimits
from littoral.protocols.mqtt import properties as table
from littoral.protocols.mqtt.properties import PublishProperties, read_properties
from littoral.protocols.mqtt.wire import Reader, encode_variable
from littoral.store.contract import StreamFull
from littoral.store.embedded import EmbeddedStore


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    store = await EmbeddedStore.open(tmp_path / "spool")
    yield await Spool.open(store.streams, store.records("core"), "core")
    await store.close()


def read(block: bytes | None) -> dict[str, Any]:
    assert block is not None
    found = read_properties(Reader(encode_variable(len(block)) + block), table.PUBLISH)
    found["user_properties"] = [pair for pair in found["user_properties"] if pair[0] != MESSAGE_ID]
    return found


def test_what_a_deployment_says_of_the_spool_is_what_the_core_does() -> None:
    merge = {"mqtt": {"maxInFlightPublishes": 5, "spooler": {"maxSizeInBytes": 1000, "whenFull": "dropOldest"}}}
    found = settings_of(PUBLIC[NAME].configured(json.dumps(merge)))
    assert (found.limits.max_bytes, found.limits.discard, found.window) == (1000, "old", 5)
    assert (found.keep_qos0, found.timing.ping_every, found.timing.dead_after) == (True, 2.0, 5.0)


def test_the_documented_defaults_are_the_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "link-down.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert settings_of(json.loads(block)) == settings_of({})


@pytest.mark.parametrize(
    "configuration",
    [
        {"jvmOptions": "-Xmx64m"},
        {"mqtt": {"port": 443}},
        {"mqtt": []},
        {"mqtt": {"maxInFlightPublishes": 0}},
        {"mqtt": {"keepAliveTimeoutMs": "60000"}},
        {"mqtt": {"spooler": {"storageType": "Memory"}}},
        {"mqtt": {"spooler": {"maxSizeInBytes": True}}},
        {"mqtt": {"spooler": {"keepQos0WhenOffline": 1}}},
        {"mqtt": {"spooler": {"whenFull": "explode"}}},
    ],
)
def test_what_is_not_served_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(BadComponent, match=NAME):
        settings_of(configuration)


async def test_a_new_limit_holds_at_once(spool: Spool) -> None:
    await spool.limit(SpoolLimits(max_bytes=10), keep_qos0=True)
    await spool.put("t", b"12345678")
    with pytest.raises(StreamFull):
        await spool.put("t", b"12345678")
    await spool.limit(SpoolLimits(max_bytes=10, discard="old"), keep_qos0=True)
    await spool.put("t", b"new")
    await spool.put("t", b"newer")
    assert [each.payload for each in await spool.fetch(10, wait=0.0)] == [b"new", b"newer"]


async def test_what_is_dropped_for_want_of_room_is_counted_before_it_is_fetched_and_over_a_restart(
    tmp_path: Path,
) -> None:
    limits = SpoolLimits(max_bytes=3, discard="old")
    store = await EmbeddedStore.open(tmp_path / "spool")
    spool = await Spool.open(store.streams, store.records("core"), "core", limits)
    for number in range(5):
        await spool.put("t", b"%d" % number)
    await spool.look()
    assert spool.dropped == 2
    found = await spool.fetch(2, wait=0.0)
    assert [each.payload for each in found] == [b"2", b"3"]
    await spool.ack([found[1].sequence])
    for number in (5, 6, 7):  # 2, which is under way, and 4 make room
        await spool.put("t", b"%d" % number)
    await spool.look()
    assert (spool.dropped, await spool.pending()) == (3, 3)
    await store.close()

    store = await EmbeddedStore.open(tmp_path / "spool")
    spool = await Spool.open(store.streams, store.records("core"), "core", limits)
    for number in (8, 9):
        await spool.put("t", b"%d" % number)
    assert [each.payload for each in await spool.fetch(10, wait=0.0)] == [b"7", b"8", b"9"]
    assert spool.dropped == 2, "5 and 6, since the start"
    await store.close()


async def test_qos_0_without_a_link_is_kept_or_dropped_as_configured(spool: Spool) -> None:
    await spool.put("t", b"kept", 0)
    await spool.limit(spool.limits, keep_qos0=False)
    await spool.put("t", b"dropped", 0)
    await spool.put("t", b"of QoS 1", 1)
    spool.online = True
    await spool.put("t", b"with a link", 0)
    assert [each.payload for each in await spool.fetch(10, wait=0.0)] == [b"kept", b"of QoS 1", b"with a link"]
    assert spool.dropped == 1


async def test_properties_and_retain_are_kept_and_the_expiry_counts_down(spool: Spool) -> None:
    said = PublishProperties(1, 60, "text/plain", "answers", b"\0c", [("ward", "7"), ("bed", "ü")])
    await spool.put("t", b"x", 1, Extras(retain=True, properties=said))
    await spool.put("t", b"y")
    first, second = await spool.fetch(10, wait=0.0)
    assert (first.retain, second.retain) == (True, False)
    assert read(first.block(first.spooled_at + 20.5)) == {**said.as_mapping(), "message_expiry": 40}
    assert first.block(first.spooled_at + 60) is None
    assert read(second.block(second.spooled_at + 1e9)) == {"user_properties": []}
