"""kill -9 in the middle of traffic: every message that got its PUBACK is acted on after the restart, once per id."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.things.crashing_place import opened

SCRIPT = Path(__file__).with_name("crashing_place.py")


class Objects:
    def __init__(self) -> None:
        self.puts: list[int] = []

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        self.puts.append(int(key))


def send_until_killed(folder: Path, first: int, kill_after: int) -> tuple[set[int], set[int]]:
    """Numbers sent, and those acknowledged, by a place that is killed once ``kill_after`` acknowledgements are in."""
    sent: set[int] = set()
    acknowledged: set[int] = set()
    numbers: dict[int, int] = {}
    command = [sys.executable, str(SCRIPT), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SCRIPT.parents[2]) as place:
        assert place.stdout is not None
        port = int(place.stdout.readline())
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "spool", protocol=mqtt.MQTTv5, reconnect_on_failure=False)

        def on_publish(_c: object, _u: object, mid: int, reason: mqtt.ReasonCode, _p: object) -> None:
            if reason.value == 0:
                acknowledged.add(numbers[mid])
            if len(acknowledged) == kill_after:
                place.send_signal(signal.SIGKILL)

        client.on_publish = on_publish
        client.connect("127.0.0.1", port, keepalive=60)
        for number in range(first, first + 500):
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("littoral-message-id", str(number))
            info = client.publish(f"r/{number % 7}", json.dumps({"n": number}), 1, properties=properties)
            numbers[info.mid] = number
            sent.add(number)
        while client.loop(timeout=1.0) == mqtt.MQTT_ERR_SUCCESS:
            pass  # until the connection is gone with the process
        place.wait(30)
    return sent, acknowledged


async def test_what_was_acknowledged_is_acted_on_after_kill_9(tmp_path: Path) -> None:
    sent: set[int] = set()
    acknowledged: set[int] = set()
    for round_, kill_after in enumerate((1, 40, 137, 250)):
        more_sent, more = await asyncio.to_thread(send_until_killed, tmp_path, round_ * 1000, kill_after)
        sent |= more_sent
        acknowledged |= more
    objects = Objects()
    store, things = await opened(tmp_path, objects)
    await things.start()
    await asyncio.wait_for(things.rules.settled(), 60)
    await things.close()
    await store.close()
    assert len(acknowledged) >= 1 + 40 + 137 + 250
    assert acknowledged <= set(objects.puts) <= sent
    assert len(objects.puts) == len(set(objects.puts))
