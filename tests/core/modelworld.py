"""A model that a deployment brings to a core, and a device that asks it there."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from littoral.core.modelserver.settings import NAME
from littoral.net.listen import listen_stream
from littoral.things.access import OpenAccess
from tests.core.world import CorePlace, RegionPlace, until

ROWS = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
TOPICS = {"component": "ward.model", "in": "ward/bed/+/window", "out": "ward/bed/$1/rhythm"}

PATIENT = 90.0  # seconds, for a process that loads a model on a machine that has other work


class Device:
    """Asks, and hears what is said of all beds."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._ready = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "monitor", protocol=mqtt.MQTTv5)
        self._client.on_message = lambda _c, _u, got: self.heard.append((got.topic, json.loads(got.payload)))
        self._client.on_connect = lambda *_: self._client.subscribe([("ward/bed/+/rhythm", 1)])
        self._client.on_subscribe = lambda *_: setattr(self, "_ready", True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    async def asks(self, body: bytes, bed: str = "7") -> Any:
        """The answer, and after it the PUBACK."""
        await until(lambda: self._ready)
        before = len(self.heard)
        said = self._client.publish(f"ward/bed/{bed}/window", body, 1)
        await until(lambda: len(self.heard) > before and said.is_published(), PATIENT)
        topic, answer = self.heard[-1]
        assert topic == f"ward/bed/{bed}/rhythm"
        return answer

    def say(self, topic: str, body: bytes) -> None:
        self._client.publish(topic, body, 1)

    async def answered(self, body: bytes) -> None:
        """Somebody answers by now: a core that starts has its models a little later than its broker."""
        while not self.heard:
            self._client.publish("ward/bed/0/window", body, 1)
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


class at:
    """A device at the core's broker."""

    def __init__(self, place: CorePlace) -> None:
        self._place = place

    async def __aenter__(self) -> Device:
        factory = self._place.broker.protocol_factory("open", OpenAccess())
        self._listener = await listen_stream(factory, "127.0.0.1", 0)
        self._device = await asyncio.to_thread(Device, self._listener.port)
        return self._device

    async def __aexit__(self, *_: object) -> None:
        await self._device.close()
        await self._listener.close(0.0)


async def bring(region: RegionPlace, version: str, data: bytes, later: bytes = b"", **beside: bytes) -> None:
    """A version of the component that has the model; ``later``: what the object is after that; ``beside``: other files,
    with __ for the dot."""
    files = {"ward.onnx": data} | {name.replace("__", "."): each for name, each in beside.items()}
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "ward.model",
        "ComponentVersion": version,
        "Manifests": [{"Artifacts": [{"URI": f"s3://models/{version}/{name}"} for name in files]}],
    }
    for name, each in files.items():
        await region.call("s3", "put_object", Bucket="models", Key=f"{version}/{name}", Body=each)
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())
    if later:
        await region.call("s3", "put_object", Bucket="models", Key=f"{version}/ward.onnx", Body=later)


async def deployed(region: RegionPlace, version: str, **entry: Any) -> str:
    """The outcome; without a version the server alone."""
    update = {"merge": json.dumps({"models": {"ward": TOPICS | entry}})}
    components: dict[str, Any] = {NAME: {"componentVersion": "1.0.0", "configurationUpdate": update}}
    if version:
        components["ward.model"] = {"componentVersion": version}
    return await region.outcome(await region.deploy(**components), PATIENT)


def processes() -> list[str]:
    """Of models, that this one has begun."""
    found = []
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline")
        found += [pid] if command.exists() and b"models.runtime.worker" in command.read_bytes() else []
    return found
