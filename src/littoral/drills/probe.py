"""A process of its own that asks for alarms and times them: ``python -m littoral.drills.probe``.

Twenty times a second it publishes vitals beyond the limits for one bed after another (QoS 0: a monitor's live signal
needs no disk), and hears the alarm that the core's function makes of it; now and then a second of recorded waveform.
Arguments: certificate, key, CA, port. It ends when its standard input does, and then writes one JSON document:
``[[sent, heard or null], …]``, Unix seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from littoral.drills.beds import WARD, client_of
from littoral.tour.monitors import Identity
from littoral.tour.places import PlaceError
from littoral.tour.recordings import shipped

EVERY = 0.05  # seconds
QUICK, IN_A_ROW = 0.05, 10  # seconds; alarms
WARM_BY_THEN = 20.0  # seconds, on a machine where none is quick
LATE = 10.0  # seconds that the last alarms are waited for
AT_END = 200  # alarms
BEDS = 20
warm = threading.Event()
quick: list[float] = []  # how late the last alarms were, in a row of such


class Probe:
    """That process, from outside."""

    def __init__(self, identity: Identity, port: int) -> None:
        files = str(identity.certificate), str(identity.private_key), str(identity.ca)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "littoral.drills.probe", *files, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: list[tuple[float, float | None]] | None = None

    def wait_warm(self) -> None:
        """Until alarms come quickly, so that no cold start is ahead. Raises PlaceError."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise PlaceError("the probe ended by itself")

    def stop(self) -> list[tuple[float, float | None]]:
        if self._said is None:
            out, _ = self._process.communicate()
            self._said = [(sent, heard) for sent, heard in json.loads(out or "[]")]
        return self._said


def run(identity: Identity, port: int) -> list[list[float | None]]:
    stop = threading.Event()
    threading.Thread(target=until_told, args=(stop,), daemon=True).start()
    sent: list[list[float | None]] = []
    (recording,) = shipped(1, 60)
    while not stop.is_set():
        try:
            ask(listening(identity, sent), port, sent, stop, recording.samples)
        except OSError:
            stop.wait(0.1)
    return sent


def until_told(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def listening(identity: Identity, sent: list[list[float | None]]) -> paho.Client:
    """A client whose ``user_data`` is set once it is subscribed."""
    client = client_of(identity, identity.name)
    client.user_data_set(threading.Event())

    def connected(client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{WARD}/bed/+/alarm", 1)

    client.on_connect = connected
    client.on_subscribe = lambda _client, ready, *_: ready.set()
    client.on_message = lambda _client, _ready, message: heard(sent, message)
    return client


def heard(sent: list[list[float | None]], message: Any) -> None:
    now = time.time()
    number = json.loads(message.payload)["n"]
    sent[number][1] = sent[number][1] or now
    if not warm.is_set():
        notice(now - (sent[number][0] or now), now - (sent[0][0] or now))


def notice(late: float, since_first: float) -> None:
    """Says ``warm`` once: what a cold start had held up is over."""
    quick.append(late)
    if late > QUICK:
        quick.clear()
    if len(quick) >= IN_A_ROW or since_first > WARM_BY_THEN:
        warm.set()
        print("warm", flush=True)


def ask(
    client: paho.Client, port: int, sent: list[list[float | None]], stop: threading.Event, samples: tuple[float, ...]
) -> None:
    """Until the connection breaks, or ``stop``. Raises OSError."""
    client.connect("127.0.0.1", port, keepalive=30)
    due = time.monotonic()
    while not stop.is_set():
        if client.loop(max(0.0, min(EVERY, due - time.monotonic()))) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return
        if client.user_data_get().is_set() and time.monotonic() >= due:
            due += EVERY
            publish(client, sent, samples)
    until = time.monotonic() + LATE
    while time.monotonic() < until and any(at is None for _, at in sent[-AT_END:]):
        client.loop(EVERY)
    client.disconnect()


def publish(client: Any, sent: list[list[float | None]], samples: tuple[float, ...]) -> None:
    number, bed = len(sent), f"bed{len(sent) % BEDS + 1}"
    now = time.time()
    sent.append([now, None])
    vitals = {"bed": bed, "n": number, "hr": 140, "spo2": 90, "resp": 24, "sent_at": now}
    client.publish(f"{WARD}/bed/{bed}/vitals", json.dumps(vitals), qos=0)
    if not number % 10:
        at = number * 10 % (len(samples) - 100)
        wave = {"bed": bed, "second": number // 10, "samples": samples[at : at + 100]}
        client.publish(f"{WARD}/bed/{bed}/waveform", json.dumps(wave), qos=0)


if __name__ == "__main__":
    certificate, key, ca = (Path(each) for each in sys.argv[1:4])
    json.dump(run(Identity("probe", certificate, key, ca), int(sys.argv[4])), sys.stdout)
