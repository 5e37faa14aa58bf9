"""`littoral things` beside a running place: in a pipe, in a terminal, until Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import queue
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.site.conftest import ROLE, Running

Start = Callable[..., Running]
PATIENCE = 60


@contextmanager
def device(place: Running, name: str) -> Iterator[Callable[[str, int], None]]:
    """A client of the open port, subscribed to ``t/#``; gives a way to publish and know that it has arrived."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
    ready: queue.Queue[Any] = queue.Queue()
    heard: queue.Queue[Any] = queue.Queue()
    client.on_connect = lambda *_: client.subscribe("t/#", 1)
    client.on_subscribe = lambda *_: ready.put(True)
    client.on_message = lambda *_: heard.put(True)
    client.connect("127.0.0.1", place.port("mqtt"))
    client.loop_start()
    ready.get(timeout=PATIENCE)

    def publish(topic: str, count: int) -> None:
        for _ in range(count):
            client.publish(topic, b"{}", 1)
        for _ in range(count):
            heard.get(timeout=PATIENCE)

    yield publish
    client.disconnect()
    client.loop_stop()


@contextmanager
def things(folder: Path, *words: str, out: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    # a shell in the background has its children ignore Ctrl-C
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "littoral",
        "things",
        *words,
        "--data-dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_found(process: subprocess.Popen[str], good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    assert process.stdout is not None
    for text in process.stdout:
        found: dict[str, Any] = json.loads(text)
        if good(found):
            return found
    raise AssertionError("it ended")


def test_a_pipe_gets_a_line_for_each_interval_and_ctrl_c_ends_it(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    place.client("iot").create_topic_rule(
        ruleName="seen",
        topicRulePayload={
            "sql": "SELECT * FROM 't/#'",
            "actions": [{"republish": {"roleArn": ROLE, "topic": "elsewhere"}}],
        },
    )
    with device(place, "bed3") as publish, things(folder, "watch", "--json", "--interval", "0.2") as process:
        first = until_found(process, lambda _: True)
        assert first["connections"] == 1 and first["subscriptions"] == 1
        publish("t/1", 10)
        busy = until_found(process, lambda one: one["in"] > 0 and one["rules"])
        assert busy["out"] > 0 and busy["rules"][0]["rule"] == "seen" and not busy["refused"]
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{place.api}/_littoral/things/clients", timeout=10)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "")
    with things(folder, "watch", "--count", "1", "--interval", "0.1") as process:
        text, errors = process.communicate(timeout=PATIENCE)
    assert "  connections 0  in " in text and text.count("\n") == 1 and not errors


def test_a_terminal_shows_one_picture_that_changes(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    master, slave = pty.openpty()
    with device(place, "bed3"), things(folder, "watch", "--interval", "0.2", out=slave) as process:
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + PATIENCE
        while shown.count(b"\x1b[H\x1b[J") < 2:
            assert time.monotonic() < deadline, shown
            shown += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        shown += os.read(master, 65536)
    os.close(master)
    text = shown.decode()
    assert text.startswith("\x1b[?25l") and text.endswith("\x1b[?25h")
    assert "connections" in text and "Ctrl-C ends" in text


def test_who_is_connected_is_listed_for_who_has_the_keys(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    with device(place, "bed3"), device(place, "bed4"):
        with things(folder, "clients", "--json") as process:
            found = json.loads(process.communicate(timeout=PATIENCE)[0])
        with things(folder, "clients") as process:
            table = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert [one["clientId"] for one in found] == ["bed3", "bed4"]
    assert (found[0]["protocol"], found[0]["subscriptions"], found[0]["listener"]) == ("MQTT 5", 1, "mqtt")
    assert table[0].split()[0] == "client" and table[1].split()[0] == "bed3" and table[-1] == "2 connected"


def test_a_place_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for words in (["watch"], ["clients"]):
        with things(tmp_path, *words) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1 and errors.startswith("littoral: no place with an API in")
