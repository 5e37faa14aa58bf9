"""Records and streams against plain models of themselves, in the sequences that hypothesis thinks of."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from littoral.store.contract import Conflict, Outgoing, Retention, StreamFull
from littoral.store.embedded import EmbeddedStore

T = TypeVar("T")
KEYS = st.sampled_from(["a", "a/", "a/b", "a\U0010ffff", "b", "é", "\0"])
IDS = st.sampled_from(["x", "y", "z", None, None])
PROFILE = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="littoral-model-"))
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.open()

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def open(self) -> None:
        self.store = self.do(EmbeddedStore.open(self.folder, clock=lambda: self.now))

    def teardown(self) -> None:
        self.do(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


class RecordsMachine(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, tuple[bytes, int]] = {}
        self.last = 0

    @rule(key=KEYS, value=st.binary(max_size=8))
    def put(self, key: str, value: bytes) -> None:
        revision = self.do(self.store.records("b").put(key, value))
        assert revision > self.last
        self.model[key] = (value, revision)
        self.last = revision

    @rule(key=KEYS, value=st.binary(max_size=8), expect=st.integers(0, 5), right=st.booleans())
    def put_expecting(self, key: str, value: bytes, expect: int, right: bool) -> None:
        found = self.model.get(key, (b"", 0))[1]
        expect = found if right else expect
        if expect == found:
            self.model[key] = (value, self.do(self.store.records("b").put(key, value, expect=expect)))
            self.last = self.model[key][1]
        else:
            with pytest.raises(Conflict):
                self.do(self.store.records("b").put(key, value, expect=expect))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.do(self.store.records("b").delete(key)) == (self.model.pop(key, None) is not None)

    @rule()
    def reopen(self) -> None:
        self.do(self.store.close())
        self.open()

    @rule(prefix=st.sampled_from(["", "a", "a/", "\U0010ffff"]), after=st.just("") | KEYS, limit=st.integers(1, 4))
    def scan(self, prefix: str, after: str, limit: int) -> None:
        found = self.do(self.store.records("b").scan(prefix, after=after, limit=limit))
        keys = sorted((key for key in self.model if key.startswith(prefix)), key=str.encode)
        expected = [key for key in keys if key.encode() > after.encode()][:limit]
        assert [(each.key, each.value, each.revision) for each in found] == [(k, *self.model[k]) for k in expected]

    @invariant()
    def all_is_there(self) -> None:
        found = self.do(self.store.records("b").scan())
        assert {each.key: (each.value, each.revision) for each in found} == self.model


class StreamsMachine(Machine):
    """One stream of at most eight messages that drops what is acknowledged, and two consumers of it."""

    WINDOW = 50.0
    WAIT = 20.0

    def __init__(self) -> None:
        super().__init__()
        self.retention = Retention(max_messages=8, dedupe_window=self.WINDOW)
        self.do(self.store.streams.create("s", self.retention))
        self.log: dict[int, bytes] = {}
        self.last = 0
        self.ids: dict[str, tuple[int, float]] = {}
        self.done: dict[str, set[int]] = {"c": set(), "d": set()}
        self.flight: dict[str, dict[int, tuple[int, float]]] = {"c": {}, "d": {}}
        self.retried: dict[str, dict[int, tuple[int, float]]] = {"c": {}, "d": {}}
        for name in self.done:
            self.consumer(name)

    def consumer(self, name: str) -> Any:
        return self.do(self.store.streams.consumer("s", name, ack_wait=self.WAIT))

    @rule(batch=st.lists(st.tuples(st.binary(max_size=4), IDS), min_size=1, max_size=3))
    def publish(self, batch: list[tuple[bytes, str | None]]) -> None:
        log, last, ids = dict(self.log), self.last, dict(self.ids)
        expected = []
        for data, message_id in batch:
            if message_id is not None and message_id in ids and ids[message_id][1] > self.now - self.WINDOW:
                expected.append(ids[message_id][0])
                continue
            last += 1
            log[last] = data
            expected.append(last)
            if message_id is not None:
                ids[message_id] = (last, self.now)
        outgoing = [Outgoing(data, message_id) for data, message_id in batch]
        if len(log) > 8 and last > self.last:
            with pytest.raises(StreamFull):
                self.do(self.store.streams.publish("s", outgoing))
        else:
            assert list(self.do(self.store.streams.publish("s", outgoing))) == expected
            self.log, self.last, self.ids = log, last, ids

    @rule(seconds=st.sampled_from([1.0, 7.0, 21.0, 51.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from("cd"), limit=st.integers(1, 5))
    def fetch(self, name: str, limit: int) -> None:
        flight, retried = self.flight[name], self.retried[name]
        again = [s for s, (_, due) in sorted(flight.items(), key=lambda each: each[1][1]) if due <= self.now]
        found = {each.sequence: each for each in self.do(self.consumer(name).fetch(limit))}
        assert list(found) == sorted(found)
        new = [s for s in sorted(self.log) if s not in self.done[name] and s not in flight]
        ready = [s for s in new if retried.get(s, (0, 0.0))[1] <= self.now]
        assert len(found) == min(limit, len(again) + len(ready))
        fresh = [s for s in found if s in new]
        assert fresh == ready[: len(fresh)]
        assert set(found) - set(fresh) <= set(again)
        for sequence, message in found.items():
            before = (flight.get(sequence) or retried.get(sequence, (0, 0.0)))[0]
            assert (message.data, message.deliveries) == (self.log[sequence], before + 1)
            flight[sequence] = (before + 1, self.now + self.WAIT)

    @precondition(lambda self: self.log)
    @rule(name=st.sampled_from("cd"), data=st.data())
    def acknowledge(self, name: str, data: st.DataObject) -> None:
        sequences = data.draw(st.lists(st.sampled_from(sorted(self.log)), max_size=4))
        self.do(self.consumer(name).ack(sequences))
        for sequence in sequences:
            self.done[name].add(sequence)
            self.flight[name].pop(sequence, None)
            self.retried[name].pop(sequence, None)
        while self.log and all(min(self.log) in done for done in self.done.values()):
            del self.log[min(self.log)]

    @rule(name=st.sampled_from("cd"), delay=st.sampled_from([0.0, 5.0, 60.0]), data=st.data())
    def retry(self, name: str, delay: float, data: st.DataObject) -> None:
        flight = self.flight[name]
        if not flight:
            return
        sequence = data.draw(st.sampled_from(sorted(flight)))
        self.do(self.consumer(name).retry(sequence, delay=delay))
        flight[sequence] = (flight[sequence][0], self.now + delay)
        self.retried[name][sequence] = flight[sequence]

    @rule()
    def reopen(self) -> None:
        self.do(self.store.close())
        self.open()
        self.flight = {"c": {}, "d": {}}

    @invariant()
    def counts_agree(self) -> None:
        kept = {each.sequence: each.data for each in self.do(self.store.streams.read("s"))}
        assert kept == self.log
        for name, done in self.done.items():
            assert self.do(self.consumer(name).pending()) == len(set(self.log) - done)


class TestRecordsAgainstTheirModel(RecordsMachine.TestCase):  # type: ignore[valid-type,misc]
    settings = PROFILE


class TestStreamsAgainstTheirModel(StreamsMachine.TestCase):  # type: ignore[valid-type,misc]
    settings = PROFILE
