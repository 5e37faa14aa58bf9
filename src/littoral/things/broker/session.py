"""One client's session: what it subscribed to, what is in flight to it, and the bytes to be written next.

::

    QoS 0 ───────────────────────────────▶ out ──(flush: one write a read)──▶ socket
    QoS > ─▶ window free? ─ yes ─▶ in flight ─▶ out
                 │ no
                 ▼                     a *transient* session ends with its connection: its queue is memory;
          queue, or backlog (disk)     a *durable* one gets every QoS 1 and 2 message through its backlog
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack
from littoral.things.broker.ledger import Ledger
from littoral.things.broker.limits import BrokerLimits, Profile
from littoral.things.broker.outbound import Outbound, Parts
from littoral.things.broker.runs import Kept

if TYPE_CHECKING:
    from littoral.protocols.mqtt.packets import Will
    from littoral.things.access import Access, Client
    from littoral.things.broker.backlog import Backlog
    from littoral.things.broker.connection import Connection


class _PacketIds(dict[int, bytes]):
    """Of what is in flight at once, which is little, the numbers come again and again: made when first used, for all of
    them take 3 MiB."""

    def __missing__(self, number: int) -> bytes:
        made = self[number] = number.to_bytes(2, "big")
        return made


PACKET_ID: Final = _PacketIds()


@dataclass(frozen=True, slots=True)
class Grant:
    """One subscription. ``filter`` is without ``$share/group/``."""

    filter: str
    qos: int
    group: str | None = None
    no_local: bool = False
    retain_as_published: bool = False
    identifier: int = 0


@dataclass(slots=True)
class Held:
    """A message of QoS 1 or 2 that waits, or is in flight, and may have to be encoded again."""

    outbound: Outbound
    retain: bool
    identifiers: tuple[int, ...] = ()
    sequence: int = 0  # in the backlog's stream
    qos: int = 1
    confirm: Callable[[], None] | None = None  # of a message to this client alone: told of its PUBACK


def whole(each: Held | Kept) -> Held:
    """What may be encoded again."""
    return Held(each.outbound(), False, sequence=each.sequence) if isinstance(each, Kept) else each


RELEASED: Final = Held(Outbound("", b"", False, None, 0.0), False, qos=2)  # in flight: only PUBCOMP is awaited


class Session:
    """``connection`` is None while the client is away."""

    __slots__ = (
        "access",
        "again",
        "aliases",
        "backlog",
        "client",
        "connection",
        "dropped",
        "ended",
        "expires_at",
        "expiry",
        "grants",
        "inflight",
        "ledger",
        "level",
        "limits",
        "max_packet",
        "most_aliases",
        "next_id",
        "out",
        "overflowed",
        "paused",
        "profile",
        "queue",
        "queue_bytes",
        "transport",
        "will",
        "will_due",
        "window",
    )

    def __init__(self, client: Client, access: Access, profile: Profile, limits: BrokerLimits) -> None:
        self.client = client
        self.access = access
        self.profile = profile
        self.limits = limits
        self.level = client.level
        self.connection: Connection | None = None
        self.transport: asyncio.Transport | None = None
        self.out: list[bytes] = []
        self.paused = False  # the socket is full
        self.window = limits.window
        self.max_packet = 0  # the client's; 0: none
        self.most_aliases = 0  # that the client takes; 0: none
        self.aliases: dict[str, int] = {}  # of this connection, by topic: the first so many that were sent
        self.inflight: dict[int, Held | Kept | None] = {}
        self.again: deque[int] = deque()  # of those, what is still to be sent to a client that came back
        self.next_id = 0
        self.queue: deque[Held | Parts] = deque()
        self.queue_bytes = 0
        self.overflowed = False
        self.backlog: Backlog | None = None
        self.ledger = Ledger(None, client.client_id)
        self.grants: dict[str, Grant] = {}  # by the filter as the client wrote it
        self.expiry = 0  # seconds that it outlives its connection
        self.expires_at: float | None = None
        self.ended = False  # its record is not written again
        self.will: Will | None = None
        self.will_due: float | None = None  # a delayed will of a client that is away
        self.dropped = 0

    @property
    def client_id(self) -> str:
        return self.client.client_id

    @property
    def transient(self) -> bool:
        """Ends with its connection and has nothing on disk."""
        return not self.expiry and self.backlog is None

    def over(self, now: float) -> bool:
        """Its client was away for longer than it is kept; the sweep, which ends it, comes once a second only."""
        return self.connection is None and self.expires_at is not None and now >= self.expires_at

    # ---------------------------------------------------------------------------------------- sending

    def flush(self) -> None:
        """Everything gathered, in one write."""
        out = self.out
        if out and self.transport is not None:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        self.out = []

    def send_parts(self, parts: Parts) -> None:
        """QoS 1 or 2 to a transient session, no more to be known of it than its bytes."""
        if self.queue or self.paused or len(self.inflight) >= self.window:
            self._enqueue(parts, len(parts[0]) + len(parts[1]))
            return
        number = self.number()
        self.inflight[number] = None
        self.out += (parts[0], PACKET_ID[number], parts[1])

    def send_held(self, held: Held, now: float) -> None:
        """QoS 1 or 2, to a session whose queue is memory."""
        if self.queue or self.connection is None or self.paused or len(self.inflight) >= self.window:
            self._enqueue(held, len(held.outbound.payload) + len(held.outbound.topic))
        else:
            self.put_in_flight(held, now)

    def send_all(self, due: list[Held | Kept], now: float) -> list[Held | Kept]:
        """What fits the window, in flight: packets of a run as the bytes that came, where the client may have them so.
        Returns what is not to be sent any more."""
        as_they_came = self.level if not (self.max_packet or self.most_aliases) else 0
        inflight, number, over = self.inflight, self.next_id, []
        for each in due:
            if isinstance(each, Kept) and each.level == as_they_came:
                number = number % 65535 + 1
                while number in inflight:
                    number = number % 65535 + 1
                inflight[number] = each
                self.out += (each.head, PACKET_ID[number], each.tail)
                continue
            self.next_id = number
            held = whole(each)
            if held.outbound.expired(now) or not self.put_in_flight(held, now):
                over.append(each)
            number = self.next_id
        self.next_id = number
        return over

    def put_in_flight(self, held: Held, now: float, number: int = 0, *, dup: bool = False) -> bool:
        """False where the client would refuse its size: then it counts as delivered."""
        number = number or self.number()
        if not self._write(number, held, now, dup=dup):
            return False
        self.inflight[number] = None if self.transient else held
        return True

    def send_soon(self, outbound: Outbound, retain: bool, identifiers: tuple[int, ...], now: float) -> None:
        """QoS 0: lost where the socket is full or the client would refuse the size."""
        if self.paused:
            self.dropped += 1
            return
        parts = self._parts(outbound, 0, retain, identifiers, now)
        if parts is not None:
            self.out += parts

    def send_direct(self, outbound: Outbound, now: float, confirm: Callable[[], None] | None) -> bool:
        """Whatever it subscribed to, and kept nowhere; with ``confirm`` at QoS 1, at once. False where the client would
        refuse its size."""
        held = Held(outbound, False, qos=1 if confirm is not None else 0, confirm=confirm)
        if confirm is None:
            parts = self._parts(outbound, 0, False, (), now)
            self.out += parts or ()
            return parts is not None
        number = self.number()
        if not self._write(number, held, now, dup=False):
            return False
        self.inflight[number] = held
        return True

    @property
    def full(self) -> bool:
        """It takes nothing more at once."""
        return self.paused or bool(self.queue) or len(self.inflight) >= self.window

    def _write(self, number: int, held: Held, now: float, *, dup: bool) -> bool:
        parts = self._parts(held.outbound, held.qos, held.retain, held.identifiers, now, dup=dup)
        if parts is None:
            return False
        self.out += (parts[0], PACKET_ID[number], parts[1])
        return True

    def _parts(
        self, outbound: Outbound, qos: int, retain: bool, identifiers: tuple[int, ...], now: float, *, dup: bool = False
    ) -> Parts | None:
        """None where the client would refuse its size (5.0 s. 3.1.2.11.4: as if it had been sent)."""
        alias, named = 0, True
        if self.most_aliases:
            alias = self.aliases.get(outbound.topic, 0)
            named = not alias
            if named and len(self.aliases) < self.most_aliases:
                alias = len(self.aliases) + 1
        parts = outbound.waited(self.level, qos, retain, identifiers, now, dup=dup, alias=alias, named=named)
        if self.max_packet and len(parts[0]) + len(parts[1]) + (2 if qos else 0) > self.max_packet:
            self.dropped += 1
            return None
        if alias:
            self.aliases[outbound.topic] = alias
        return parts

    def number(self) -> int:
        """A packet identifier that nothing in flight has."""
        number = self.next_id
        while True:
            number = number % 65535 + 1
            if number not in self.inflight:
                self.next_id = number
                return number

    def _enqueue(self, waiting: Held | Parts, size: int) -> None:
        """A transient session that overflows is ended by its connection; one that outlives it loses the oldest."""
        self.queue.append(waiting)
        self.queue_bytes += size
        while len(self.queue) > self.limits.queue_messages or self.queue_bytes > self.limits.queue_bytes:
            if self.transient:
                self.overflowed = True
                return
            self._forget(self.queue.popleft())
            self.dropped += 1

    def _forget(self, waiting: Held | Parts) -> None:
        if isinstance(waiting, tuple):
            self.queue_bytes -= len(waiting[0]) + len(waiting[1])
        else:
            self.queue_bytes -= len(waiting.outbound.payload) + len(waiting.outbound.topic)

    # ----------------------------------------------------------------------------------- acknowledged

    def acknowledged(self, number: int) -> bool:
        """False where nothing of that number was in flight."""
        if number not in self.inflight:
            return False
        held = self.inflight.pop(number)
        if self.again and number in self.again:
            self.again.remove(number)
        if held is not None:
            if held.qos == 2:
                self.ledger.complete(number)
            if self.backlog is not None and held.sequence:
                self.backlog.done(held.sequence)
            elif isinstance(held, Held) and held.confirm is not None:
                held.confirm()
        return True

    def refill(self, now: float) -> None:
        """Send on what waited for the window or the socket."""
        if self.again:
            self._send_again(now)
        while self.queue and not self.paused and len(self.inflight) < self.window:
            waiting = self.queue.popleft()
            self._forget(waiting)
            if isinstance(waiting, tuple):
                number = self.number()
                self.inflight[number] = None
                self.out += (waiting[0], PACKET_ID[number], waiting[1])
            elif not waiting.outbound.expired(now):
                self.put_in_flight(waiting, now)
        if self.backlog is not None:
            self.backlog.wake()

    def recall(self) -> None:
        """After a restart: the numbers that the client still holds are in flight, and not given to anything else."""
        held = {**self.ledger.sent, **self.ledger.released}
        self.inflight.update(dict.fromkeys(self.ledger.released, RELEASED))
        if held:
            self.next_id = max(held, key=held.__getitem__)

    def redeliver(self, now: float) -> None:
        """After a reconnect: what was in flight goes again, in its order, with DUP and its old number (s. 4.4)."""
        self.again.clear()
        for number, held in list(self.inflight.items()):
            if held is None or (isinstance(held, Held) and held.confirm is not None):
                del self.inflight[number]
            elif held is RELEASED:
                self.out.append(encode(Ack(6, number), self.level))
            else:
                self.again.append(number)
        self._send_again(now)

    def _send_again(self, now: float) -> None:
        """As much as the receive maximum allows, which may be less than on the connection before (5.0 s. 4.9)."""
        while self.again and not self.paused and len(self.inflight) - len(self.again) < self.window:
            number = self.again.popleft()
            held = self.inflight[number]
            if held is None or held is RELEASED:
                continue
            self.inflight[number] = again = whole(held)
            if not self._write(number, again, now, dup=True):
                self.acknowledged(number)
