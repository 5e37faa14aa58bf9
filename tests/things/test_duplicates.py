"""A message sent twice: delivered once, unless what it needed failed the first time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import NotStored
from littoral.things.duplicates import MAX_ID, PROPERTY, Duplicates, OnceBroker, message_id
from littoral.things.message import Publication, PublishProperties


def publication(identity: str, topic: str = "a", qos: int = 1) -> Publication:
    return Publication(
        topic, identity.encode(), qos, properties=PublishProperties(user_properties=[(PROPERTY, identity)])
    )


async def opened(store: EmbeddedStore) -> OnceBroker:
    broker = OnceBroker(access=OpenAccess(), streams=store.streams, records=store.records("broker"))
    broker.duplicates = Duplicates(store.streams)
    await broker.duplicates.open()
    await broker.start()
    return broker


@pytest.fixture
async def broker(store: EmbeddedStore) -> AsyncIterator[OnceBroker]:
    made = await opened(store)
    yield made
    await made.close()


class Heard:
    def __init__(self, broker: OnceBroker) -> None:
        self.payloads: list[bytes] = []
        broker.subscribe("#", lambda message: self.payloads.append(message.payload))


async def test_the_second_copy_is_delivered_to_nobody(broker: OnceBroker) -> None:
    heard = Heard(broker)
    for identity in ("1", "2", "1", "2", "3"):
        await broker.publish(publication(identity))
    assert heard.payloads == [b"1", b"2", b"3"]


async def test_messages_without_an_id_or_at_qos_0_are_never_held_back(broker: OnceBroker) -> None:
    heard = Heard(broker)
    for _ in range(2):
        await broker.publish(Publication("a", b"plain", 1))
        await broker.publish(publication("zero", qos=0))
    assert sorted(heard.payloads) == [b"plain", b"plain", b"zero", b"zero"]


async def test_an_id_is_remembered_over_a_restart(store: EmbeddedStore, broker: OnceBroker) -> None:
    await broker.publish(publication("1"))
    again = await opened(store)
    heard = Heard(again)
    await again.publish(publication("1"))
    await again.publish(publication("2"))
    await again.close()
    assert heard.payloads == [b"2"]


async def test_a_copy_that_failed_is_not_a_copy_that_was_seen(broker: OnceBroker) -> None:
    heard: list[bytes] = []
    failures = [OSError("disk full")]

    async def tap(message: Publication) -> None:
        if failures:
            raise failures.pop()
        heard.append(message.payload)

    broker.tap("#", tap)
    with pytest.raises(NotStored):
        await broker.publish(publication("1"))
    await broker.publish(publication("1"))
    await broker.publish(publication("1"))
    assert heard == [b"1"]


async def test_a_copy_that_comes_while_the_first_is_under_way_waits_for_it(broker: OnceBroker) -> None:
    """The sender lost its connection, and resends before the broker is done with the first."""
    heard: list[bytes] = []
    gate = asyncio.Event()

    async def tap(message: Publication) -> None:
        heard.append(message.payload)
        await gate.wait()

    broker.tap("#", tap)
    first = asyncio.create_task(broker.publish(publication("1")))
    second = asyncio.create_task(broker.publish(publication("1")))
    done, _ = await asyncio.wait((first, second), timeout=0.05)
    assert not done
    gate.set()
    await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert heard == [b"1"]


@pytest.mark.parametrize("identity", ["", "x" * (MAX_ID + 1)])
def test_an_id_that_cannot_be_kept_is_none(identity: str) -> None:
    assert message_id(publication(identity)) is None


async def test_a_failing_first_copy_fails_the_waiting_second_too(broker: OnceBroker, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def tap(message: Publication) -> None:
        await gate.wait()
        raise OSError("disk full")

    broker.tap("#", tap)
    tasks = [asyncio.create_task(broker.publish(publication("1"))) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert all(isinstance(result, NotStored) for result in results)
