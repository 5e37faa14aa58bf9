"""Twenty beds that send what they record, and note what the core accepted.

A bed sends its records in order with QoS 1 (MQTT 5), a few ahead of their acknowledgement. What was acknowledged with
success is *accepted*. What was refused, or was under way when the connection broke, goes again: the latter may then be
there twice, which at least once allows and only the bed can know (``again``).
"""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from littoral.tour.monitors import Identity
from littoral.tour.recordings import Recording

WARD = "ward7"
ELSEWHERE = 10  # niceness of a bed, which in life is no process beside the core
LONGEST = 0.05  # seconds between two looks at what is due
AHEAD = 20  # records without an acknowledgement
PATIENCE = 0.2  # seconds after a refusal, or until the next try to connect


def client_of(identity: Identity, name: str, *, clean: bool = True) -> paho.Client:
    """MQTT 5 over TLS with a certificate; connects with ``connect_to``."""
    made = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5, reconnect_on_failure=False)
    files = str(identity.ca), str(identity.certificate), str(identity.private_key)
    made.tls_set(*files, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    made.max_inflight_messages_set(1000)
    return made


class Bed(threading.Thread):
    """Sends ``count`` records, ``pace`` a second and no faster than they are accepted."""

    def __init__(
        self, identity: Identity, recording: Recording, port: int, count: int, pace: float, step: float
    ) -> None:
        super().__init__(name=identity.name, daemon=True)
        self.bed = identity.name
        self._identity = identity
        self._recording = recording
        self._port = port
        self._count = count
        self._pace = pace
        self._step = step  # simulated seconds from one record to the next
        self._halt = threading.Event()
        self._next = 0
        self._under_way: dict[int, int] = {}  # message identifier -> record
        self._due_again: list[int] = []
        self._waits_until = 0.0
        self.accepted: list[int] = []
        self.again: set[int] = set()
        self.refused = 0

    @property
    def done(self) -> bool:
        return len(self.accepted) >= self._count

    @property
    def to_go_again(self) -> list[int]:
        """Refused, and not yet sent again."""
        return list(self._due_again)

    def stop(self) -> None:
        self._halt.set()

    def run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, 0, ELSEWHERE)  # this thread's
        while not self._halt.is_set() and not self.done:
            client = client_of(self._identity, self.bed)
            client.on_publish = self._answered
            try:
                client.connect("127.0.0.1", self._port, keepalive=30)
                self._send(client)
            except OSError:
                pass  # the core is away: what is under way goes again
            lost = sorted(self._under_way.values())
            self._under_way.clear()
            self.again.update(lost)
            self._due_again = sorted([*self._due_again, *lost])
            self._halt.wait(PATIENCE)

    def _send(self, client: paho.Client) -> None:
        while not client.is_connected():
            if client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        begun, first = time.monotonic(), self._next
        while not self._halt.is_set() and not self.done:
            due = first + int((time.monotonic() - begun) * self._pace)
            while len(self._under_way) < AHEAD and (number := self._take(due)) is not None:
                payload = json.dumps(self.record(number))
                self._under_way[client.publish(f"{WARD}/bed/{self.bed}/record", payload, qos=1).mid] = number
            until_next = begun + (self._next - first + 1) / self._pace - time.monotonic()
            # Past: it waits for an answer, which ends the wait.
            if client.loop(min(LONGEST, until_next) if until_next > 0 else LONGEST) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        client.disconnect()

    def _take(self, due: int) -> int | None:
        """The next record to send. After a refusal only when all answers are there, so that order holds."""
        if time.monotonic() < self._waits_until or (self._waits_until and self._under_way):
            return None
        self._waits_until = 0.0
        if self._due_again:
            return self._due_again.pop(0)
        if self._next >= min(due, self._count):
            return None
        self._next += 1
        return self._next - 1

    def _answered(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        number = self._under_way.pop(mid, None)
        if number is None:
            return
        if reason.is_failure:
            self.refused += 1
            self._due_again = sorted([*self._due_again, number])
            self._waits_until = time.monotonic() + PATIENCE
        else:
            self.accepted.append(number)

    def record(self, number: int) -> dict[str, Any]:
        """Of a simulated moment: vitals, and a stretch of the recorded waveform."""
        samples = self._recording.samples
        at = number * 10 % (len(samples) - 10)
        return {
            "bed": self.bed,
            "n": number,
            "at": number * self._step,
            "hr": 60 + number % 30,
            "spo2": 97,
            "resp": 15,
            "pleth": samples[at : at + 10],
        }


def start_all(beds: list[Bed], ended: Callable[[Callable[[], None]], object]) -> None:
    for bed in beds:
        ended(bed.stop)
        bed.start()
