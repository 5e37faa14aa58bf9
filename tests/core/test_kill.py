"""kill -9 of a core in the middle of traffic: each event with a PUBACK is handled, and each publisher's in order."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.notebook import notebook

SCRIPT = Path(__file__).with_name("crashing_core.py")


@contextmanager
def core(folder: Path, out: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "tests.core.crashing_core", str(folder), str(out)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SCRIPT.parents[2]
    ) as running:
        try:
            assert running.stdout is not None
            yield running, int(running.stdout.readline())
        finally:
            if sys.exc_info()[0] is not None:
                running.kill()
            assert running.stdin is not None
            running.stdin.close()
            running.wait(60)


class Publisher:
    """Sends numbers in order, some ahead of their acknowledgement; after a break, on from the first without one."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.acknowledged = 0  # numbers below this

    def send(self, port: int, count: int, enough: threading.Semaphore) -> None:
        """Until ``count`` more are acknowledged, or the core is gone. Releases ``enough`` once an acknowledgement."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            self.name,
            protocol=self.version,  # type: ignore[arg-type]
            reconnect_on_failure=False,
        )
        numbers: dict[int, int] = {}
        last = self.acknowledged + count

        def on_publish(_c: object, _u: object, mid: int, reason: mqtt.ReasonCode, _p: object) -> None:
            assert reason.value == 0
            assert numbers[mid] == self.acknowledged
            self.acknowledged += 1
            enough.release()

        client.on_publish = on_publish
        client.connect("127.0.0.1", port, keepalive=60)
        for number in range(self.acknowledged, last):
            info = client.publish(f"r/{self.name}", json.dumps([self.name, number]), 1)
            numbers[info.mid] = number
        while self.acknowledged < last and client.loop(timeout=1.0) == mqtt.MQTT_ERR_SUCCESS:
            pass
        client.disconnect()


def handled(out: Path, name: str) -> list[int]:
    """What the function saw of one publisher, each at its first time."""
    lines = [line.split() for line in out.read_text().splitlines()] if out.exists() else []
    return list(dict.fromkeys(int(number) for who, number in lines if who == name))


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_what_was_acknowledged_is_handled_in_order_after_kill_9(tmp_path: Path, version: int) -> None:
    out = tmp_path / "out"
    with notebook(out) as port:
        _kill_and_look(tmp_path / "core", out, port, version)


def _kill_and_look(folder: Path, out: Path, notes: int, version: int) -> None:
    publishers = [Publisher("a", version), Publisher("b", version)]
    for kill_after in (1, 37, 90, 260):
        with core(folder, notes) as (running, port):
            enough = threading.Semaphore(0)
            threads = [threading.Thread(target=each.send, args=(port, 400, enough)) for each in publishers]
            for thread in threads:
                thread.start()
            for _ in range(kill_after):
                assert enough.acquire(timeout=30)
            running.kill()
            for thread in threads:
                thread.join(30)
    total = sum(each.acknowledged for each in publishers)
    assert total >= 1 + 37 + 90 + 260
    with core(folder, notes):
        deadline = time.monotonic() + 30
        while any(len(handled(out, each.name)) < each.acknowledged for each in publishers):
            assert time.monotonic() < deadline, "an acknowledged event was not handled"
            time.sleep(0.02)
    for each in publishers:
        seen = handled(out, each.name)
        assert seen == list(range(len(seen)))  # in order, none left out
        assert len(seen) >= each.acknowledged
