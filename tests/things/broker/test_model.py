"""The broker against a model of it (``model``), in the sequences that hypothesis thinks of, in both profiles.

Several clients of both versions connect, take over, subscribe, publish, leave, vanish, stop reading and come back, with
acknowledgements late or never; time passes; the disk is slow; the broker stops, or dies between any two commits. What
each client receives is checked as it comes (``peer``), and that all that was promised has come whenever it can have.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from littoral.protocols.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Filter,
    Pingreq,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from littoral.protocols.mqtt.reasons import Reason
from littoral.things.broker.limits import PROFILES, BrokerLimits, ProfileName
from tests.things.broker.memory import World
from tests.things.broker.model import LARGE, Message, Model
from tests.things.broker.peer import Memory, Peer

NAMES = st.sampled_from("abcd")
WHICH = st.integers(0, 11)  # of those that are connected
TOPICS = st.sampled_from(["x", "x/y", "x/z", "y"])
FILTERS = st.sampled_from(
    ["x", "x/y", "x/+", "x/#", "#", "+/y", "y", "$share/g/x/+", "$share/g/#", "$share/h/x/y", "$share/h/x"]
)
QOS = st.integers(0, 2)
RARELY = st.sampled_from([False, False, False, True])
WILLS = st.none() | st.builds(Will, TOPICS, st.just(b""), QOS, RARELY, st.sampled_from([0, 0, 5, 50]))
MORE = os.environ.get("LITTORAL_SESSIONS")  # so many, and others each time
SETTINGS = settings(
    max_examples=int(MORE or 30),
    derandomize=not MORE,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Sessions(RuleBasedStateMachine):
    PROFILE: ProfileName = "mqtt"

    def __init__(self) -> None:
        super().__init__()
        self.profile = PROFILES[self.PROFILE]
        self.world = World(self.PROFILE, BrokerLimits(window=3, out_buffer=300))
        self.model = Model(self.profile)
        self.peers: dict[str, Peer] = {}
        self.memories = {name: Memory() for name in "abcd"}

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.finish()
        finally:
            self.world.close()

    # ------------------------------------------------------------------------------------- connections

    @precondition(lambda self: not self.model.held)
    @rule(
        name=NAMES,
        level=st.sampled_from([4, 5]),
        clean=RARELY,
        expiry=st.sampled_from([0, 10, 100, 100_000]),
        will=WILLS,
        window=st.sampled_from([0, 1, 2]),
        most=st.sampled_from([0, 0, LARGE]),
        aliases=st.sampled_from([0, 2]),
    )
    def connect(self, name: str, level: int, clean: bool, expiry: int, will: Will | None, **asked: int) -> None:
        self._connect(name, level, clean, expiry, will, **asked)
        self.look()

    def _connect(
        self,
        name: str,
        level: int,
        clean: bool,
        expiry: int,
        will: Will | None,
        window: int = 0,
        most: int = 0,
        aliases: int = 0,
    ) -> None:
        taken = self.peers.pop(name, None)
        now = self.world.now
        if level == 4:
            expiry, window, most, aliases = (0 if clean else 0xFFFFFFFF), 0, 0, 0
        wills = [self.model.lost(taken.life, now, graceful=False)] if taken is not None else []
        will = self._will(will, level)
        life, present, left = self.model.connect(name, level, clean=clean, expiry=expiry, will=will)
        life.small = life.small or bool(most)
        self._publish_wills([(name, each) for each in (*wills, left) if each is not None])
        if not present:
            self.memories[name] = Memory()
        peer = Peer(self.world, self.model, life, self.memories[name], self.world.pipe(), window, most, aliases)
        properties: dict[str, Any] = {}
        if level == 5:
            given = {"session_expiry": expiry, "receive_maximum": window, "maximum_packet_size": most}
            properties = {key: value for key, value in (given | {"topic_alias_maximum": aliases}).items() if value}
        peer.send(Connect(name, level, clean, 0, will, properties=properties))
        self.world.settle()
        if taken is not None:
            self._closed(taken, Reason.SESSION_TAKEN_OVER)
        self.peers[name] = peer
        peer.read()
        connack = peer.answers.pop(0)
        assert isinstance(connack, Connack)
        assert (connack.reason, connack.session_present) == (0, present), (connack, present)
        peer.again()

    def _will(self, will: Will | None, level: int) -> Will | None:
        """With a message of its own in it."""
        if will is None:
            return None
        message = self.model.message("", will.topic, 0, False, 0, 0.0, None)
        delay = will.delay if level == 5 else 0
        return Will(will.topic, message.payload, min(will.qos, self.profile.maximum_qos), will.retain, delay)

    def _publish_wills(self, wills: list[tuple[str, Will]]) -> None:
        for name, will in wills:
            number = int(will.payload)
            by = f"will of {name}"
            message = Message(number, by, will.topic, will.qos, will.retain, will.payload, self.world.now)
            self.model.publish(message)
            self.model.settled(message)

    def _closed(self, peer: Peer, reason: Reason | None) -> None:
        assert peer.pipe.is_closing()
        if peer.pipe.stalled:
            peer.pipe.drop()
            return
        peer.read()
        if peer.level == 5 and reason is not None:
            last = peer.answers.pop()
            assert isinstance(last, Disconnect)
            assert last.reason == reason

    def _some(self, which: int, *, leaves: bool = False) -> Peer:
        name = sorted(self.peers)[which % len(self.peers)]
        return self.peers.pop(name) if leaves else self.peers[name]

    @precondition(lambda self: self.peers and not self.model.held)
    @rule(which=WHICH, expiry=st.none() | st.sampled_from([0, 10, 100]), with_will=RARELY)
    def disconnect(self, which: int, expiry: int | None, with_will: bool) -> None:
        peer = self._some(which, leaves=True)
        properties = {}
        if peer.level == 5 and expiry is not None and (peer.life.expiry or not expiry):
            properties = {"session_expiry": expiry}
            peer.life.expiry = min(expiry, self.profile.session_expiry)
        graceful = not (with_will and peer.level == 5)
        will = self.model.lost(peer.life, self.world.now, graceful=graceful)
        peer.send(Disconnect(Reason.SUCCESS if graceful else Reason.DISCONNECT_WITH_WILL, properties))
        self._publish_wills([(peer.life.client, will)] if will is not None else [])
        self.world.settle()
        assert peer.pipe.is_closing()
        self.look()

    @precondition(lambda self: self.peers)
    @rule(which=WHICH)
    def vanish(self, which: int) -> None:
        peer = self._some(which, leaves=True)
        self._gone(peer)
        peer.pipe.drop()
        self.look()

    def _gone(self, peer: Peer) -> None:
        will = self.model.lost(peer.life, self.world.now, graceful=False)
        self._publish_wills([(peer.life.client, will)] if will is not None else [])

    @precondition(lambda self: self.peers)
    @rule(which=WHICH)
    def stall(self, which: int) -> None:
        peer = self._some(which)
        peer.pipe.stall()
        peer.life.stalled = True

    @precondition(lambda self: any(peer.life.stalled for peer in self.peers.values()))
    @rule()
    def read_on(self) -> None:
        for peer in self.peers.values():
            peer.pipe.go_on()
            peer.life.stalled = False
        self.look()

    # ----------------------------------------------------------------------------------- subscriptions

    @precondition(lambda self: self.peers and not self.model.held)
    @rule(
        which=WHICH,
        text=FILTERS,
        qos=QOS,
        no_local=RARELY,
        as_published=st.booleans(),
        handling=st.integers(0, 2),
        identifier=st.sampled_from([0, 0, 1, 2]),
    )
    def subscribe(
        self, which: int, text: str, qos: int, no_local: bool, as_published: bool, handling: int, identifier: int
    ) -> None:
        peer = self._some(which)
        if peer.pipe.stalled:
            return
        line = Filter(text, qos)
        if peer.level == 5:
            line = Filter(text, qos, no_local and not text.startswith("$share"), as_published, handling)
        identifier = identifier if peer.level == 5 and self.profile.subscription_identifiers else 0
        self.model.subscribe(peer.life, line, identifier)
        peer.send(Subscribe(1, [line], {"subscription_identifiers": [identifier]} if identifier else {}))
        self.look()
        answer = peer.answers.pop()
        assert isinstance(answer, Suback)
        assert answer.reasons == [min(qos, self.profile.maximum_qos)]

    @precondition(lambda self: self.peers and not self.model.held)
    @rule(which=WHICH, text=FILTERS)
    def unsubscribe(self, which: int, text: str) -> None:
        peer = self._some(which)
        if peer.pipe.stalled:
            return
        known = peer.life.subscriptions.pop(text, None) is not None
        peer.send(Unsubscribe(1, [text]))
        self.look()
        answer = peer.answers.pop()
        assert isinstance(answer, Unsuback)
        wanted = Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED
        assert answer.reasons == ([wanted] if peer.level == 5 else [])

    # ---------------------------------------------------------------------------------------- messages

    @precondition(lambda self: self.peers)
    @rule(
        which=WHICH,
        topic=TOPICS,
        levels=st.lists(QOS, min_size=1, max_size=4),
        retain=RARELY,
        size=st.sampled_from([5, 5, 5, 150]),
        expiry=st.sampled_from([None, None, None, 20]),
        alias=st.booleans(),
    )
    def publish(
        self, which: int, topic: str, levels: list[int], retain: bool, size: int, expiry: int | None, alias: bool
    ) -> None:
        peer = self._some(which)
        expiry = expiry if peer.level == 5 else None
        made = [
            self.model.message(
                peer.life.client, topic, min(qos, self.profile.maximum_qos), retain, size, self.world.now, expiry
            )
            for qos in levels
        ]
        peer.publish(*made, alias=alias)
        self.look()

    @precondition(lambda self: any(peer.acks for peer in self.peers.values()))
    @rule(which=WHICH, most=st.integers(1, 5))
    def acknowledge(self, which: int, most: int) -> None:
        peer = self._some(which)
        peer.acknowledge(most)
        self.look()

    # ----------------------------------------------------------------------------- time, disk, the broker

    @precondition(lambda self: not self.model.held)
    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0, 101.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        for peer in self.peers.values():
            peer.send(Pingreq())
        self.world.now += seconds
        self._publish_wills(self.model.wait(self.world.now))
        self.world.wait(0)
        self.look()

    @precondition(lambda self: not self.model.held)
    @rule()
    def hold(self) -> None:
        self.model.held = self.world.disk.held = True

    @precondition(lambda self: self.model.held)
    @rule()
    def commit_one(self) -> None:
        self.world.disk.commit()
        self.look()

    @precondition(lambda self: self.model.held)
    @rule()
    def release(self) -> None:
        self._release()
        self.look()

    def _release(self) -> None:
        self.world.disk.held = False
        while self.world.disk.commit():
            self.world.settle()
        self.model.release()

    @precondition(lambda self: not self.model.held)
    @rule()
    def restart(self) -> None:
        self.read_on()
        self.model.stop(self.world.now, crash=False)
        self.world.restart()
        for peer in self.peers.values():
            self._closed(peer, Reason.SERVER_SHUTTING_DOWN)
        self.peers.clear()

    @rule()
    def crash(self) -> None:
        self.world.disk.held = False
        self.world.crash()
        for peer in self.peers.values():
            peer.read()
        self.peers.clear()
        self.model.stop(self.world.now, crash=True)

    # ------------------------------------------------------------------------------------------ checks

    def look(self) -> None:
        """Everybody reads; all that was promised is there, or waits for its client."""
        self.world.settle()
        for name, peer in list(self.peers.items()):
            if peer.pipe.is_closing():
                assert peer.pipe.stalled, f"{name} was cut off: {peer.answers}"
                del self.peers[name]
                self._gone(peer)
                peer.pipe.drop()
                self.world.settle()
        for peer in self.peers.values():
            peer.read()
            peer.answers = [each for each in peer.answers if not isinstance(each, Disconnect)]
        if not self.model.held:
            for peer in self.peers.values():
                if not peer.pipe.stalled and not peer.full:
                    missing = peer.life.missing(self.world.now)
                    assert not missing, f"{peer.life.client} lacks {missing}"

    def finish(self) -> None:
        """Every session's client comes, reads and acknowledges all: nothing that was promised is missing."""
        if self.model.held:
            self._release()
        self.read_on()
        for life in list(self.model.alive):
            if not life.connected:
                self._connect(life.client, 5, False, 100, None)
        self.look()
        for _ in range(200):
            if not any(peer.acks for peer in self.peers.values()):
                break
            for peer in self.peers.values():
                peer.acknowledge(1000)
            self.look()
        for peer in self.peers.values():
            assert not peer.acks and not peer.memory.sent, peer.memory
        for group in self.model.groups:
            assert not group.missing() or group.message.expired(self.world.now), group


class AwsSessions(Sessions):
    PROFILE = "aws"


TestMqtt = Sessions.TestCase
TestMqtt.settings = SETTINGS
TestAws = AwsSessions.TestCase
TestAws.settings = SETTINGS
