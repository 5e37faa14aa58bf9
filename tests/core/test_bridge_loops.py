"""Topics that are mapped up and down: each message is everywhere once. By paho clients above and on two cores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from littoral.core.bridge import mappings
from littoral.net.listen import listen_stream
from littoral.things.access import OpenAccess
from littoral.tour.link import Link as Cable
from tests.core.world import CorePlace, RegionPlace, until


class Paho:
    """Hears everything of ``round/`` and ``end/``, and says when it has heard an end."""

    def __init__(self, name: str, port: int, tls: Any = None) -> None:
        self.heard: list[tuple[str, str]] = []
        self.said: dict[str, Properties] = {}  # beside the last message to a topic
        self._subscribed = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_message = lambda _c, _u, got: self._hear(got)
        self._client.on_connect = lambda *_: self._client.subscribe([("round/#", 1), ("x/#", 1), ("end/#", 1)])
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self._client.connect_async("localhost", port)
        self._client.loop_start()

    async def ready(self) -> Paho:
        await until(lambda: self._subscribed)
        return self

    def _hear(self, got: mqtt.MQTTMessage) -> None:
        if got.properties is not None:
            self.said[got.topic] = got.properties
        self.heard.append((got.topic, json.loads(got.payload)))

    def say(self, topic: str, word: str, retain: bool = False, properties: Properties | None = None) -> None:
        # the region of the tests reads JSON
        self._client.publish(topic, json.dumps(word), 1, retain, properties)

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


@asynccontextmanager
async def paho_at(place: CorePlace, name: str) -> AsyncIterator[Paho]:
    listener = await listen_stream(place.broker.protocol_factory("open", OpenAccess()), "127.0.0.1", 0)
    client = await Paho(name, listener.port).ready()
    try:
        yield client
    finally:
        await client.close()
        await listener.close(0)


@pytest.fixture
async def other(region: RegionPlace, place: CorePlace, cable: Cable, tmp_path: Path) -> AsyncIterator[CorePlace]:
    made = CorePlace(tmp_path / "other", cable.port, place.identity, region.authority.certificate_pem, "other-core")
    await made.start()
    yield made
    await made.stop()


async def connect(place: CorePlace, **configuration: Any) -> None:
    """What a deployment's bridge does, on this core alone."""
    await place.core._routes.change((), mappings(configuration), keep=())


async def rounds(above: Paho, *local: Paho) -> None:
    """Whatever was under way has been everywhere; what goes round would have gone on several times."""
    for number in range(5):
        for at, each in enumerate(local):
            each.say("end/up", f"{number} {at}")
            await until(lambda: ("end/up", f"{number} {at}") in above.heard)  # noqa: B023 - in this turn
        above.say("end/down", f"{number}")
        for each in local:
            await until(lambda: ("end/down", f"{number}") in each.heard)  # noqa: B023


async def ready(above: Paho, *local: Paho) -> None:
    """Each core hears from above: what it subscribed to last, too."""
    for each in local:
        while not any(topic == "end/down" for topic, _ in each.heard):
            above.say("end/down", "ready")
            await asyncio.sleep(0.1)


def went(paho: Paho) -> list[tuple[str, str]]:
    return sorted(each for each in paho.heard if not each[0].startswith("end/"))


ROUND = {
    "up": {"topic": "round/#", "source": "Pubsub", "target": "IotCore"},
    "across": {"topic": "round/#", "source": "LocalMqtt", "target": "Pubsub"},
    "down": {"topic": "round/#", "source": "IotCore", "target": "LocalMqtt"},
}
ENDS = {
    "end up": {"topic": "end/up", "source": "LocalMqtt", "target": "IotCore"},
    "end down": {"topic": "end/down", "source": "IotCore", "target": "LocalMqtt"},
}


async def test_a_circle_of_two_cores_ends(region: RegionPlace, place: CorePlace, other: CorePlace) -> None:
    async with AsyncExitStack() as stack:
        above = await Paho("above", region.device_port, place.tls).ready()
        stack.push_async_callback(above.close)
        here, there = [await stack.enter_async_context(paho_at(each, "near")) for each in (place, other)]
        for each in (place, other):
            await connect(each, mqttTopicMapping={**ROUND, **ENDS})
        await ready(above, here, there)
        above.say("round/1", "from above")
        here.say("round/2", "from here")
        for paho in (above, here, there):
            await until(lambda: len(went(paho)) >= 2)  # noqa: B023
        await rounds(above, here, there)
        for paho in (above, here, there):
            assert went(paho) == [("round/1", "from above"), ("round/2", "from here")]


async def test_what_comes_down_goes_up_elsewhere_unless_no_local_is_said(region: RegionPlace, place: CorePlace) -> None:
    up = {"topic": "round/#", "source": "LocalMqtt", "target": "IotCore", "targetTopicPrefix": "x/"}
    table = {**ENDS, "up": up, "down": ROUND["down"]}
    async with AsyncExitStack() as stack:
        above = await Paho("above", region.device_port, place.tls).ready()
        stack.push_async_callback(above.close)
        here = await stack.enter_async_context(paho_at(place, "near"))
        await connect(place, mqttTopicMapping=table)
        await ready(above, here)
        above.say("round/1", "passed on")
        await until(lambda: ("x/round/1", "passed on") in above.heard)
        options = {"up": {"noLocal": True, "retainAsPublished": True}}
        await connect(place, mqttTopicMapping=table, mqtt5RouteOptions=options)
        above.say("round/2", "not passed on")
        here.say("round/3", "from here")
        await until(lambda: ("x/round/3", "from here") in above.heard and ("round/2", "not passed on") in here.heard)
        await rounds(above, here)
        assert ("x/round/2", "not passed on") not in above.heard

        asks = Properties(PacketTypes.PUBLISH)
        asks.ContentType, asks.ResponseTopic, asks.CorrelationData = "application/json", "round/answer", b"7"
        asks.UserProperty = [("ward", "7")]
        here.say("round/4", "kept", True, asks)
        above.say("round/5", "asked", True, asks)
        await until(lambda: "x/round/4" in above.said and "round/5" in here.said)
        for found in (above.said["x/round/4"], here.said["round/5"]):
            assert (found.ContentType, found.ResponseTopic, found.CorrelationData) == (
                "application/json",
                "round/answer",
                b"7",
            )
            assert ("ward", "7") in found.UserProperty
        assert here.said["round/5"].UserProperty == [("ward", "7")]
        assert region.things.broker.retained("x/round/4") is not None
        assert region.things.broker.retained("x/round/3") is None
        assert place.broker.retained("round/5") is None
