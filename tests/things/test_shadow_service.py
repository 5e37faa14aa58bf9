"""Shadows as kept: durable before they are told, one after another, found again after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest

from littoral.protocols.shadow import ShadowError
from littoral.store.contract import StorageFailed
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.shadows import ShadowRequest, Shadows, parse_topic, prefix
from tests.things.conftest import Clock


class Told:
    """What was published, in order, and what is not yet with those who are to have it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.storing: asyncio.Future[None] | None = None

    def __call__(self, messages: list[tuple[str, bytes]]) -> Awaitable[None] | None:
        self.messages.extend((topic, json.loads(payload)) for topic, payload in messages)
        return self.storing

    def topics(self) -> list[str]:
        return [topic for topic, _ in self.messages]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def shadows(store: EmbeddedStore, told: Told, clock: Clock) -> Shadows:
    return Shadows(Documents(store.records("things"), "shadow/"), told, clock)


async def answered(shadows: Shadows, request: ShadowRequest, payload: bytes) -> None:
    """As the broker has it: what is returned is waited for."""
    waiting = shadows.answer(request, payload)
    if waiting is not None:
        await waiting


async def test_an_update_is_told_on_its_three_topics_and_to_listeners(shadows: Shadows, told: Told) -> None:
    changes: list[Any] = []
    shadows.on_shadow_changed(lambda thing, name, document: changes.append((thing, name, document)))
    accepted = await shadows.update("bed3", "", {"desired": {"rate": 25}})
    assert accepted["version"] == 1
    start = "$aws/things/bed3/shadow/update/"
    assert told.topics() == [start + "accepted", start + "delta", start + "documents"]
    assert told.messages[1][1]["state"] == {"rate": 25}
    await shadows.update("bed3", "", {"reported": {"rate": 25}})
    assert told.topics()[3:] == [start + "accepted", start + "documents"]
    assert [(thing, name, document["version"]) for thing, name, document in changes] == [
        ("bed3", "", 1),
        ("bed3", "", 2),
    ]


async def test_named_shadows_are_apart_and_listed(shadows: Shadows, told: Told) -> None:
    for name in ("", "b", "a", "$x", "c"):
        await shadows.update("bed3", name, {"desired": {"n": name}})
    await shadows.update("bed33", "other", {"desired": {}})
    await shadows.delete_with("bed3", "c")
    assert list(await shadows.names("bed3")) == ["$x", "a", "b"]
    assert list(await shadows.names("bed3", after="$x", limit=1)) == ["a", "b"]  # one more than asked: there is more
    assert list(await shadows.names("nobody")) == []
    assert (await shadows.get("bed3", "a") or {})["state"] == {"desired": {"n": "a"}, "delta": {"n": "a"}}
    assert "$aws/things/bed3/shadow/name/a/update/accepted" in told.topics()


async def test_a_shadow_survives_a_restart_and_its_version_a_delete(
    store: EmbeddedStore, shadows: Shadows, told: Told, clock: Clock
) -> None:
    await shadows.update("t", "", {"reported": {"a": 1}})
    await shadows.delete_with("t", "")
    again = Shadows(Documents(store.records("things"), "shadow/"), told, clock)
    assert await again.get("t") is None
    with pytest.raises(ShadowError) as refused:
        await again.get_with("t", "")
    assert refused.value.code == 404
    assert (await again.update("t", "", {"reported": {"a": 2}}))["version"] == 2


async def test_updates_at_once_keep_their_order_and_lose_nothing(shadows: Shadows, told: Told) -> None:
    await asyncio.gather(*[shadows.update("t", "", {"reported": {f"k{n}": n}}) for n in range(30)])
    document = await shadows.get("t")
    assert document is not None
    assert document["version"] == 30 and len(document["state"]["reported"]) == 30
    versions = [message["version"] for topic, message in told.messages if topic.endswith("/accepted")]
    assert versions == list(range(1, 31))


class Disk(Documents):
    """Counts writes, and refuses them for a while."""

    writes = 0
    full = False

    async def put_all(self, documents: Mapping[str, Any]) -> list[int]:
        self.writes += 1
        if self.full:
            raise StorageFailed("no space left")
        return await super().put_all(documents)


async def test_updates_that_come_together_are_stored_by_one_write_or_by_none(
    store: EmbeddedStore, told: Told, clock: Clock
) -> None:
    disk = Disk(store.records("things"), "shadow/")
    shadows = Shadows(disk, told, clock)
    await asyncio.gather(*[shadows.update("t", "", {"reported": {f"k{n}": n}}) for n in range(30)])
    assert disk.writes == 1 and len(told.messages) == 60
    disk.full = True
    refused = await asyncio.gather(
        *[shadows.update("t", "", {"reported": {"k0": 100 + n}}) for n in range(5)], return_exceptions=True
    )
    assert all(isinstance(each, StorageFailed) for each in refused) and len(told.messages) == 60
    disk.full = False
    assert (await shadows.update("t", "", {"reported": {"more": 1}}))["version"] == 31
    assert (await shadows.get("t") or {})["state"]["reported"] == {**{f"k{n}": n for n in range(30)}, "more": 1}


async def test_changes_of_many_shadows_are_stored_by_one_write_and_each_listener_hears_the_last_of_each(
    store: EmbeddedStore, told: Told, clock: Clock
) -> None:
    disk = Disk(store.records("things"), "shadow/")
    shadows, heard = Shadows(disk, told, clock), []
    shadows.on_shadow_changed(lambda thing, name, document: heard.append((thing, (document or {}).get("version"))))
    await asyncio.gather(*[shadows.update(f"t{n % 3}", "", {"reported": {f"k{n}": n}}) for n in range(30)])
    assert disk.writes == 1 and len(told.messages) == 60
    assert heard == [("t0", 10), ("t1", 10), ("t2", 10)]
    await asyncio.gather(shadows.delete_with("t0", ""), shadows.update("t1", "", {"desired": {"a": 1}}))
    assert disk.writes == 2 and heard[3:] == [("t0", None), ("t1", 11)]
    again = Shadows(disk, told, clock)
    assert await again.get("t0") is None and (await again.get("t2") or {})["version"] == 10


async def test_an_answer_waits_for_sessions_on_disk_and_the_next_change_does_not(shadows: Shadows, told: Told) -> None:
    told.storing = held = asyncio.get_running_loop().create_future()
    first = asyncio.create_task(shadows.update("t", "", {"reported": {"a": 1}}))
    while not told.messages:
        await asyncio.sleep(0)
    told.storing = None
    assert (await shadows.update("t", "", {"reported": {"a": 2}}))["version"] == 2
    assert not first.done()
    held.set_result(None)
    assert (await first)["version"] == 1


async def test_who_gives_up_takes_no_other_along(shadows: Shadows) -> None:
    both = [asyncio.create_task(shadows.update("t", "", {"reported": {f"k{n}": n}})) for n in range(2)]
    await asyncio.sleep(0)
    both[0].cancel()
    assert (await both[1])["version"] == 2
    assert both[0].cancelled()


async def test_what_nobody_hears_is_not_made(store: EmbeddedStore, told: Told, clock: Clock) -> None:
    documents = Documents(store.records("things"), "shadow/")
    shadows = Shadows(documents, told, clock, lambda topic: topic.endswith("/accepted"))
    await shadows.update("t", "", {"desired": {"a": 1}})
    assert told.topics() == ["$aws/things/t/shadow/update/accepted"]


async def test_of_updates_for_one_version_one_wins(shadows: Shadows) -> None:
    await shadows.update("t", "", {"reported": {}})
    results = await asyncio.gather(
        *[shadows.update("t", "", {"reported": {"n": n}}, version=1) for n in range(10)], return_exceptions=True
    )
    lost = [result.code for result in results if isinstance(result, ShadowError)]
    assert lost == [409] * 9


async def test_a_message_on_a_reserved_topic_is_answered_there(shadows: Shadows, told: Told) -> None:
    update, get, delete = (ShadowRequest("t", "", operation) for operation in ("update", "get", "delete"))
    await answered(shadows, get, b'{"clientToken": "x"}')
    assert told.messages.pop() == (
        "$aws/things/t/shadow/get/rejected",
        {"code": 404, "message": "No shadow exists with name: 't'", "timestamp": 1_000_000, "clientToken": "x"},
    )
    await answered(shadows, update, b"{")
    topic, message = told.messages.pop()
    assert (topic, message["code"]) == ("$aws/things/t/shadow/update/rejected", 400)
    await answered(shadows, update, json.dumps({"state": {"reported": {"a": 1}}, "clientToken": "y"}).encode())
    assert told.messages[0][1]["clientToken"] == "y"
    await answered(shadows, get, b"")
    topic, message = told.messages[-1]
    assert (topic, message["state"]) == ("$aws/things/t/shadow/get/accepted", {"reported": {"a": 1}})
    await answered(shadows, delete, b"")
    assert told.messages[-1] == ("$aws/things/t/shadow/delete/accepted", {"version": 1, "timestamp": 1_000_000})


async def test_a_disk_that_refuses_is_told_and_nothing_acknowledged(
    store: EmbeddedStore, told: Told, clock: Clock
) -> None:
    class Full(Documents):
        async def put_all(self, documents: Mapping[str, Any]) -> list[int]:
            raise StorageFailed("no space left")

    shadows = Shadows(Full(store.records("things"), "shadow/"), told, clock)
    with pytest.raises(StorageFailed):
        await answered(shadows, ShadowRequest("t", "", "update"), b'{"state": {}, "clientToken": "x"}')
    assert told.messages == [
        (
            "$aws/things/t/shadow/update/rejected",
            {"code": 500, "message": "Internal service failure", "timestamp": 1_000_000, "clientToken": "x"},
        )
    ]
    assert await shadows.get("t") is None


async def test_a_listener_that_fails_undoes_nothing(shadows: Shadows) -> None:
    def broken(thing: str, name: str, document: Any) -> None:
        raise RuntimeError("broken")

    shadows.on_shadow_changed(broken)
    await shadows.update("t", "", {"reported": {"a": 1}})
    assert (await shadows.get("t") or {})["version"] == 1


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("$aws/things/t/shadow/update", ShadowRequest("t", "", "update")),
        ("$aws/things/t/shadow/name/n/get", ShadowRequest("t", "n", "get")),
        ("$aws/things/t:1/shadow/name/$n/delete", ShadowRequest("t:1", "$n", "delete")),
        ("$aws/things/t/shadow/update/accepted", None),
        ("$aws/things/t/shadow/name/n", None),
        ("$aws/things/a/b/shadow/get", None),
        ("$aws/things/t/shadow/list", None),
        ("$aws/things/" + "t" * 129 + "/shadow/get", None),
        ("$aws/things//shadow/get", None),
        ("$aws/things/t/shadow/get\n", None),
    ],
)
def test_reserved_topics_are_read_strictly(topic: str, expected: ShadowRequest | None) -> None:
    assert parse_topic(topic) == expected


def test_prefixes() -> None:
    assert prefix("t") == "$aws/things/t/shadow"
    assert prefix("t", "n") == "$aws/things/t/shadow/name/n"
