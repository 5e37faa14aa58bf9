"""A topic that the place above denies holds up nothing else, and nothing that is allowed is ever set aside."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.core.denials import MOST, Decision, Denials
from littoral.core.draining import DENIED, Draining
from littoral.core.rejected import SetAside
from littoral.core.session import Cut, Session
from littoral.core.spool import Spooled
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Connack, Disconnect, Packet, Publish
from littoral.protocols.mqtt.reasons import Reason

TOPICS = ["a", "b", "c"]


def spooled(sequence: int, topic: str) -> Spooled:
    return Spooled(sequence, f"core/e/{sequence}", b"%d" % sequence, {"topic": topic}, 0.0)


# ------------------------------------------------------------------------------------------- decisions alone


def test_the_one_that_alone_was_under_way_twice_in_a_row_is_meant() -> None:
    denials = Denials()
    batch = [spooled(1, "good"), spooled(2, "bad"), spooled(3, "good")]
    assert denials.cut(batch, None, 0.0) is None and not denials.alone
    assert denials.cut(batch, None, 1.0) is None and denials.alone
    denials.accepted(batch[0], 2.0)
    assert denials.cut(batch[1:], batch[1], 3.0) is None
    assert denials.cut(batch[1:], batch[1], 4.0) == ("bad", False)
    assert not denials.alone  # the whole window again
    assert denials.decide(("good", False), 5.0) is Decision.SEND
    assert denials.decide(("bad", False), 5.0) is Decision.ASIDE
    assert denials.decide(("bad", True), 5.0) is Decision.SEND  # whether it may be retained is another permission
    assert denials.decide(("bad", False), 40.0) is Decision.TRY


def test_an_accident_is_forgotten_once_all_of_them_were_answered() -> None:
    denials = Denials()
    batch = [spooled(1, "a"), spooled(2, "b")]
    denials.cut(batch, None, 0.0)
    for each in batch:
        denials.accepted(each, 1.0)
    assert denials.quiet
    denials.cut(batch, None, 2.0)
    assert not denials.alone


def test_a_policy_that_was_taken_away_whole_costs_a_window_and_no_more() -> None:
    denials = Denials()
    denials.refused(spooled(1, "a"), 0.0)
    found = [denials.decide(("a", False), 1.0) for _ in range(MOST + 5)]
    assert found == [Decision.ASIDE] * MOST + [Decision.WAIT] * 5
    assert denials.decide(("a", False), 29.0) is Decision.WAIT  # time alone gives nothing back
    assert denials.decide(("a", False), 30.0) is Decision.TRY
    denials.refused(spooled(2, "a"), 30.0)
    denials.accepted(spooled(3, "b"), 31.0)  # others are taken: on, slowly
    denials.accepted(spooled(4, "b"), 32.0)
    aside = 0
    while denials.decide(("a", False), 33.0) is Decision.ASIDE:
        aside += 1
    assert 0 < aside <= 60


# --------------------------------------------------------------------------- with session and draining, in a model


@dataclass
class Kept:
    """What survives the core: its spool and what is set aside. Nothing here waits."""

    messages: dict[int, Spooled] = field(default_factory=dict)
    cursor: int = 0
    aside: dict[int, SetAside] = field(default_factory=dict)
    count: int = 0

    @property
    def set_aside(self) -> Kept:
        return self

    def facts(self) -> list[SetAside]:
        return list(self.aside.values())

    def put(self, topic: str) -> None:
        self.count += 1
        self.messages[self.count] = spooled(self.count, topic)

    def fetch_now(self, limit: int) -> list[Spooled]:
        found = [each for each in self.messages.values() if each.sequence > self.cursor][:limit]
        self.cursor = found[-1].sequence if found else self.cursor
        return found

    async def ack(self, sequences: list[int]) -> None:
        for each in sequences:
            self.messages.pop(each, None)

    async def reject(self, each: Spooled, reason: str) -> None:
        self.aside[each.sequence] = SetAside(each.sequence, each.message_id, each.topic, False, reason, 0, 0.0)
        self.messages.pop(each.sequence, None)

    async def retry(self, which: Callable[[SetAside], bool]) -> int:
        for each in [each for each in self.aside.values() if which(each)]:
            del self.aside[each.sequence]
            self.count += 1
            self.messages[self.count] = spooled(self.count, each.topic)._replace(message_id=each.message_id)
        return 0


def ran(work: Coroutine[Any, Any, Any]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("something waited")


class Model:
    """A core that may be killed, a place above that denies topics, and connections that break."""

    def __init__(self, *, cuts: bool) -> None:
        self.cuts = cuts  # as AWS does; else PUBACK says it
        self.denied: set[str] = set()
        self.ever_denied: set[str] = set()
        self.accepted: list[str] = []  # message ids, each at its first time
        self.kept = Kept()
        self.now = 1000.0
        self.start()

    def start(self) -> None:
        """Of the core; the one before is gone."""
        self.kept.cursor = 0
        self.session = Session("core", window=4)
        self.draining = Draining(self.kept, self.session, lambda: 0.0, lambda: self.now)  # type: ignore[arg-type]
        self.connect(present=False)

    def connect(self, *, present: bool = True) -> None:
        self.decoder, self.owed = Decoder(5), list[Packet]()
        self.session.begin(self.now)
        self.session.outgoing()
        self.say(Connack(0, present))

    def say(self, *packets: Packet) -> None:
        happened = self.session.received(b"".join(encode(each, 5) for each in packets), self.now)
        for handle, reason in happened.acknowledged:
            self.draining.answered(handle, reason)
        if happened.broken is not None:
            assert isinstance(happened.broken, Cut)
            self.draining.cut()
            self.connect()

    def pump(self) -> None:
        """The core sends what it may."""
        if not self.draining._decide():
            return
        if self.session.room:
            self.draining.take(self.kept.fetch_now(self.session.room))
        ran(self.draining.settle())

    def serve(self, acknowledge: bool) -> None:
        """The place above reads what there is; its acknowledgements come later, or with an end never."""
        for packet in self.decoder.feed(self.session.outgoing()):
            assert isinstance(packet, Publish)
            if packet.topic not in self.denied:
                assert packet.properties is not None
                self.accepted.append(packet.properties.user_properties[0][1])
                self.owed.append(Ack(4, packet.packet_id))
            elif self.cuts:
                before = self.owed if acknowledge else []
                self.say(*before, Disconnect(Reason.NOT_AUTHORIZED))
                return
            else:
                self.owed.append(Ack(4, packet.packet_id, Reason.NOT_AUTHORIZED))
        if acknowledge:
            owed, self.owed = self.owed, []
            self.say(*owed)

    def step(self, what: str) -> None:
        name, _, topic = what.partition(" ")
        if name == "put":
            self.kept.put(topic)
        elif name == "deny":
            self.denied.add(topic)
            self.ever_denied.add(topic)
        elif name == "allow":
            self.denied.discard(topic)
        elif name == "time":
            self.now += 20
        elif name == "break":
            self.connect()
        elif name == "kill":
            self.start()
        else:
            self.pump()
            self.serve(name == "answer")
        assert {each.topic for each in self.kept.aside.values()} <= self.ever_denied

    def calm(self) -> None:
        for _ in range(60):
            self.now += 1
            self.pump()
            self.serve(True)


STEPS = st.lists(
    st.sampled_from(
        [f"put {each}" for each in TOPICS] * 3
        + [f"{what} {each}" for what in ("deny", "allow") for each in "bc"]
        + ["read", "answer", "answer", "time", "break", "kill"]
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.booleans())
def test_what_is_allowed_goes_up_in_order_whatever_is_denied(steps: list[str], cuts: bool) -> None:
    model = Model(cuts=cuts)
    ids: dict[str, list[str]] = {each: [] for each in TOPICS}
    for step in [*steps, "put a", "put b", "put c"]:
        model.step(step)
        if step.startswith("put"):
            ids[step[-1]].append(f"core/e/{model.kept.count}")
    model.calm()
    done = list(dict.fromkeys(model.accepted))
    for topic, wanted in ids.items():
        if topic not in model.ever_denied:
            assert [each for each in done if each in wanted] == wanted
    aside = {each.message_id for each in model.kept.aside.values()}
    assert aside | set(done) == {each for wanted in ids.values() for each in wanted}  # nothing is lost
    assert {each.topic for each in model.kept.aside.values()} >= model.denied  # and the denied hold up nothing
    assert all(each.reason == DENIED for each in model.kept.aside.values())

    model.denied.clear()
    model.now += 400
    for topic in TOPICS:
        model.step(f"put {topic}")
    model.calm()
    model.calm()
    assert not model.kept.aside and not model.kept.messages and not model.draining.denials.alone
