"""Bedside monitors and the nurses' station: real MQTT clients over TLS, each with its own certificate."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from littoral.tour.recordings import Recording

STEP = 0.25  # seconds of recording in one message


@dataclass(frozen=True, slots=True)
class Identity:
    """A thing's certificate and key as files, and the CA it trusts."""

    name: str
    certificate: Path
    private_key: Path
    ca: Path


class NotConnected(Exception):
    """The broker refused, or could not be reached."""


def connect(identity: Identity, port: int, *, version: int, on_message: Callable[[Any], None] | None = None) -> Any:
    """A connected client with its network thread running. Raises NotConnected."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=identity.name, protocol=version)  # type: ignore[arg-type]
    client.tls_set(
        ca_certs=str(identity.ca),
        certfile=str(identity.certificate),
        keyfile=str(identity.private_key),
        tls_version=ssl.PROTOCOL_TLS_CLIENT,
    )
    answered = threading.Event()
    refusal: list[str] = []

    def on_connect(_client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            refusal.append(str(reason))
        answered.set()

    client.on_connect = on_connect
    if on_message is not None:
        client.on_message = lambda _client, _data, message: on_message(message)
    try:
        client.connect("127.0.0.1", port, keepalive=30)
    except OSError as problem:
        raise NotConnected(f"{identity.name}: {problem}") from problem
    client.loop_start()
    if not answered.wait(10) or refusal:
        client.loop_stop()
        raise NotConnected(f"{identity.name}: {refusal[0] if refusal else 'no CONNACK within 10 s'}")
    return client


class Monitor(threading.Thread):
    """One bed: publishes its recording with QoS 1 at ``speed`` times real time."""

    def __init__(self, ward: str, identity: Identity, recording: Recording, port: int, speed: float) -> None:
        super().__init__(name=f"monitor-{identity.name}", daemon=True)
        self.bed = identity.name
        self._ward = ward
        self._recording = recording
        self._speed = speed
        self._stop_asked = threading.Event()
        self._client = connect(identity, port, version=paho.MQTTv311)
        self.produced = 0  # points acknowledged by the core's broker
        self.problem: str | None = None

    def stop(self) -> None:
        self._stop_asked.set()

    def run(self) -> None:
        try:
            self._replay()
        except (ValueError, RuntimeError) as problem:
            self.problem = f"{self.bed}: {problem}"
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def _replay(self) -> None:
        samples, rate = self._recording.samples, self._recording.rate
        step = max(1, round(STEP * rate))
        began = time.monotonic()
        for first in range(0, len(samples), step):
            due = began + first / rate / self._speed
            if self._stop_asked.wait(max(0.0, due - time.monotonic())):
                return
            part = samples[first : first + step]
            message = {
                "ward": self._ward,
                "bed": self.bed,
                "rate": rate,
                "first": first,
                "samples": part,
                "last": first + step >= len(samples),
                "sent_at": time.time(),
            }
            sent = self._client.publish(f"{self._ward}/bed/{self.bed}/waveform", json.dumps(message), qos=1)
            sent.wait_for_publish(10)
            if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS or not sent.is_published():
                raise RuntimeError(f"point {first} was not acknowledged within 10 s")
            self.produced += len(part)


@dataclass(slots=True)
class Heard:
    """What the nurses' station heard, with the moment of hearing."""

    vitals: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    alarms: list[dict[str, Any]] = field(default_factory=list)
    aggregates: list[dict[str, Any]] = field(default_factory=list)
    rhythm: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


class Station:
    """Subscribes on the core's broker to what the functions publish (MQTT 5)."""

    def __init__(self, ward: str, identity: Identity, port: int) -> None:
        self.heard = Heard()
        self._changed = threading.Condition()
        self._client = connect(identity, port, version=paho.MQTTv5, on_message=self._on_message)
        self._client.subscribe([(f"{ward}/bed/+/{kind}", 1) for kind in ("vitals", "rhythm", "alarm", "aggregate")])

    def _on_message(self, message: Any) -> None:
        now = time.time()
        kind = message.topic.rsplit("/", 1)[1]
        body = {**json.loads(message.payload), "heard_at": now}
        with self._changed:
            if kind in {"vitals", "rhythm"}:
                getattr(self.heard, kind)[body["bed"]].append(body)
            elif kind == "alarm":
                self.heard.alarms.append(body)
            else:
                self.heard.aggregates.append(body)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Heard], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.heard), timeout)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
