"""What a broker owes its clients, as a plain model.

Every message that the model routes leaves a ``Due`` with each session that is to have it. A due is *promised* at once
(QoS 0 to a client that reads), or when its publisher has the acknowledgement, or not at all (it may come).
``Life.take`` refuses what is not due: too often, of another QoS, with other identifiers, out of order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count

from littoral.protocols.mqtt.packets import Filter, Publish, Will
from littoral.protocols.mqtt.topics import has_wildcard, matches, split_shared
from littoral.things.broker.limits import Profile

LARGE = 100  # bytes of a packet that a client of small packets refuses


@dataclass(eq=False)
class Message:
    number: int
    publisher: str
    topic: str
    qos: int
    retain: bool
    payload: bytes
    at: float
    expiry: int | None = None
    attempts: int = 0  # how often its publisher sent it
    acknowledged: int = 0  # which attempt; 0: none

    def expired(self, now: float) -> bool:
        return self.expiry is not None and now >= self.at + self.expiry


class Promise(Enum):
    NO = "it may come"
    NOW = "whatever happens to its publisher"
    ACKNOWLEDGED = "when its publisher has the acknowledgement"


@dataclass(eq=False)
class Due:
    """One delivery of a message to one session, or to one of a group's."""

    message: Message
    qos: int
    retain: bool
    identifiers: tuple[int, ...]
    promise: Promise
    attempt: int
    fresh: bool = True  # False: a retained message for a new subscription; it has no place in the order
    group: Group | None = None
    connection: int = 0  # the last on which it came; 0: it did not
    acknowledged: bool = False  # by the client
    forgotten: bool = False  # a crash may have undone that

    @property
    def must(self) -> bool:
        if self.promise is Promise.ACKNOWLEDGED:
            return self.message.acknowledged == self.attempt  # one before it may have been lost
        return self.promise is Promise.NOW


@dataclass(eq=False)
class Group:
    """One message of one shared subscription: one of its members gets it."""

    lives: list[Life]
    promise: Promise
    message: Message
    given: Life | None = None

    def missing(self) -> bool:
        acknowledged = self.promise is Promise.ACKNOWLEDGED and self.message.acknowledged == 1
        return (acknowledged or self.promise is Promise.NOW) and self.given is None


@dataclass(frozen=True)
class Subscription:
    line: Filter
    identifier: int
    group: str | None
    text: str


@dataclass(eq=False)
class Life:
    """A session, from the CONNECT that made it to its end."""

    client: str
    level: int
    durable: bool
    expiry: int = 0
    connected: bool = False
    connection: int = 0
    stalled: bool = False  # its client does not read
    small: bool = False  # its client refuses large packets, or did once
    expires_at: float | None = None
    over: bool = False
    will: Will | None = None
    will_at: float | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    dues: list[Due] = field(default_factory=list)
    last: dict[tuple[str, str, int, int], int] = field(default_factory=dict)

    def refuses(self, message: Message) -> bool:
        return self.small and len(message.payload) >= LARGE

    def missing(self, now: float) -> list[Due]:
        return [
            due
            for due in self.dues
            if due.must and not due.connection and not due.message.expired(now) and not self.refuses(due.message)
        ]

    def take(self, packet: Publish, number: int, now: float) -> Due:
        """Which due the packet is; not for a QoS 2 packet identifier that the client holds."""
        identifiers = tuple(sorted(packet.properties.subscription_identifiers)) if packet.properties else ()
        same = [
            due
            for due in self.dues
            if (due.message.number, due.qos, due.retain) == (number, packet.qos, packet.retain)
            and (self.level == 4 or due.identifiers == identifiers)
        ]
        assert same, f"not due: {packet}; but {[due for due in self.dues if due.message.number == number]}"
        unseen = [each for each in same if not each.connection]
        if unseen:
            due = unseen[-1]  # of what was sent again, the acknowledged attempt is the last
            self._first(due, packet, now)
        else:
            assert packet.qos == 1, f"twice: {packet}"
            open_dues = [each for each in same if not each.acknowledged or each.forgotten]
            assert open_dues, f"again, though it was acknowledged: {packet}"
            others = [each for each in open_dues if each.connection != self.connection]
            assert others, f"twice on one connection: {packet}"
            due = others[0]
        due.connection = self.connection
        return due

    def _first(self, due: Due, packet: Publish, now: float) -> None:
        message = due.message
        assert (packet.topic, packet.payload) == (message.topic, message.payload)
        if message.expiry is not None and self.level == 5:
            left = packet.properties.message_expiry if packet.properties is not None else None
            assert left is not None and left <= max(1, message.at + message.expiry - now), (packet, left)
        if due.group is not None:
            assert due.group.given in (None, self) or message.attempts > 1, f"to two of a group: {packet}"
            due.group.given = self
        if due.fresh and not any(each.connection for each in self.dues if each.message is message):
            key = (message.publisher, message.topic, message.qos, due.qos)
            assert message.number >= self.last.get(key, 0), f"{message.number} after {self.last[key]}, {key}"
            self.last[key] = message.number


class Model:
    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.lives: dict[str, Life] = {}  # the last of each client
        self.groups: list[Group] = []
        self.retained: dict[str, list[Message | None]] = {}  # by topic; more than one: which of them is not certain
        self.held = False  # nothing can be made durable
        self._unsettled: list[Message] = []  # wills, which nobody acknowledges
        self._numbers = count(1)

    @property
    def alive(self) -> Iterator[Life]:
        return (life for life in list(self.lives.values()) if not life.over)

    # --------------------------------------------------------------------------------------- messages

    def message(
        self, by: str, topic: str, qos: int, retain: bool, size: int, now: float, expiry: int | None
    ) -> Message:
        """``size`` 0: an empty payload, which only a retained message may have that nobody is to tell from another."""
        number = next(self._numbers)
        return Message(number, by, topic, qos, retain, (b"%d " % number).ljust(size, b"."), now, expiry)

    def publish(self, message: Message) -> None:
        """The broker has read it, for the first time or again."""
        message.attempts += 1
        if message.retain:
            kept = self.retained.setdefault(message.topic, [None])
            kept.append(message)
            if not self.held:
                del kept[:-1]
        groups: dict[tuple[str, str], list[tuple[Life, Subscription]]] = defaultdict(list)
        for life in self.alive:
            found = [one for one in life.subscriptions.values() if self._applies(one, message.topic)]
            for one in found:
                if one.group is not None:
                    groups[one.group, one.text].append((life, one))
            direct = [one for one in found if one.group is None]
            own = message.publisher == life.client
            self._direct(life, [one for one in direct if not (own and one.line.no_local)], message)
        for members in groups.values():
            self._shared(members, message)

    def _direct(self, life: Life, found: list[Subscription], message: Message) -> None:
        before = [due for due in life.dues if due.message is message and due.fresh and due.group is None]
        if message.qos == 2 and before:  # it comes once, however often it is sent
            before[0].attempt = message.attempts
            if not found:
                before[0].promise = Promise.NO
            return
        if not found:
            return
        qos = self._granted(message, max(one.line.qos for one in found))
        retain = message.retain and any(one.line.retain_as_published for one in found)
        identifiers = tuple(sorted(one.identifier for one in found if one.identifier))
        promise = self._promise(life, message, qos)
        if message.qos == 2 and message.attempts > 1:
            promise = Promise.NO  # those that it was handed on to before the broker died may be all
        self._owe(life, Due(message, qos, retain, identifiers, promise, message.attempts))

    def _shared(self, members: list[tuple[Life, Subscription]], message: Message) -> None:
        promises = [self._promise(life, message, self._granted(message, one.line.qos)) for life, one in members]
        promise = Promise.ACKNOWLEDGED if message.qos else Promise.NOW
        if Promise.NO in promises or message.attempts > 1 or any(life.refuses(message) for life, _ in members):
            promise = Promise.NO
        group = Group([life for life, _ in members], promise, message)
        self.groups.append(group)
        for life, one in members:
            qos = self._granted(message, one.line.qos)
            identifiers = (one.identifier,) if one.identifier else ()
            retain = message.retain and one.line.retain_as_published
            due = Due(message, qos, retain, identifiers, Promise.NO, message.attempts, group=group)
            self._owe(life, due)

    def _granted(self, message: Message, qos: int) -> int:
        return min(message.qos, qos, self.profile.maximum_qos)

    def _promise(self, life: Life, message: Message, qos: int) -> Promise:
        if message.publisher == f"will of {life.client}":
            return Promise.NO  # whether it is back already when it is published, nobody says
        if qos == 0:
            if not life.connected or life.stalled:
                return Promise.NO
        elif not (life.connected or life.durable):
            return Promise.NO
        return Promise.ACKNOWLEDGED if message.qos == 2 or (qos and life.durable) else Promise.NOW

    def _owe(self, life: Life, due: Due) -> None:
        if life.connected or (due.qos and life.durable):
            life.dues.append(due)

    def settled(self, message: Message) -> None:
        """A will has been published."""
        if self.held:
            self._unsettled.append(message)
        else:
            message.acknowledged = message.attempts

    def _applies(self, one: Subscription, topic: str) -> bool:
        if not self.profile.hash_matches_parent and one.text == topic + "/#":
            return False
        return matches(one.text, topic)

    # ----------------------------------------------------------------------------------- subscriptions

    def subscribe(self, life: Life, line: Filter, identifier: int) -> None:
        group, text = split_shared(line.filter)
        new = line.filter not in life.subscriptions
        life.subscriptions[line.filter] = Subscription(line, identifier, group, text)
        wanted = line.retain_handling == 0 or (line.retain_handling == 1 and new)
        if group is not None or not wanted or (has_wildcard(text) and not self.profile.wildcard_gets_retained):
            return
        for topic, kept in self.retained.items():
            for message in kept if matches(text, topic) else ():
                if message is None:
                    continue
                qos = self._granted(message, line.qos)
                certain = len(kept) == 1 and not (qos == 0 and life.stalled)
                promise = Promise.NOW if certain else Promise.NO
                identifiers = (identifier,) if identifier else ()
                life.dues.append(Due(message, qos, True, identifiers, promise, 0, fresh=False))

    # ---------------------------------------------------------------------------------------- sessions

    def connect(
        self, client: str, level: int, *, clean: bool, expiry: int, will: Will | None
    ) -> tuple[Life, bool, Will | None]:
        """The session, whether it was there, and the will that its predecessor leaves. ``lost`` is told first."""
        life, left = self.lives.get(client), None
        resumes = life is not None and not life.over and not clean
        if life is not None and not life.over and not resumes:
            left = life.will
            self._end(life)
        if life is None or not resumes:
            life = self.lives[client] = Life(client, level, durable=expiry > 0)
        life.level, life.expiry, life.expires_at = level, min(expiry, self.profile.session_expiry), None
        life.durable = life.durable or expiry > 0
        life.connected, life.stalled = True, False
        life.will, life.will_at = will, None
        life.connection += 1
        return life, resumes, left

    def lost(self, life: Life, now: float, *, graceful: bool) -> Will | None:
        """The connection is over; the will that is published at once."""
        will = None if graceful else life.will
        life.connected = life.stalled = False
        life.will = life.will_at = None
        for due in life.dues:
            if due.qos == 0:
                due.promise = Promise.NO
                self._void(due.group)
        if will is not None and min(will.delay, life.expiry):
            life.will, life.will_at, will = will, now + min(will.delay, life.expiry), None
        if life.expiry:
            life.expires_at = now + life.expiry
        else:
            self._end(life)
        return will

    def _end(self, life: Life) -> None:
        life.over = True
        life.connected = False
        for due in life.dues:
            due.promise = Promise.NO
            self._void(due.group)

    def _void(self, group: Group | None) -> None:
        if group is not None and group.given is None:
            group.promise = Promise.NO

    def wait(self, now: float) -> list[tuple[str, Will]]:
        """Which wills are due, by client; sessions whose time is over end."""
        wills = []
        for life in self.alive:
            if life.connected:
                continue
            over = life.expires_at is not None and now >= life.expires_at
            if life.will is not None and life.will_at is not None and (over or now >= life.will_at):
                wills.append((life.client, life.will))
                life.will = life.will_at = None
            if over:
                self._end(life)
        return wills

    def release(self) -> None:
        """What was held back is durable."""
        self.held = False
        for message in self._unsettled:
            self.settled(message)
        self._unsettled.clear()
        for kept in self.retained.values():
            if not any(message is not None and message.qos == 2 for message in kept[1:]):  # else: in which order?
                del kept[:-1]

    def stop(self, now: float, *, crash: bool) -> None:
        """The broker is no more."""
        self.held = False
        self._unsettled.clear()
        for life in self.alive:
            life.will = life.will_at = None
            if life.connected:
                self.lost(life, now, graceful=True)
            for due in life.dues:
                if due.qos == 0:
                    due.promise = Promise.NO
                due.forgotten = due.forgotten or crash
                if crash and not due.must:
                    self._void(due.group)
