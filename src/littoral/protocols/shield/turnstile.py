"""Whose bytes go on at once to a server that says nothing of what they cost it, and whose wait for their turn.

Owns: what each client has cost, the order of those who wait, and the price. Knows no socket, no clock and nothing of
what the bytes mean: behind TLS a flood of streams looks like an upload. What tells them apart is the processor time
that the server used meanwhile, and how late it was. The driver asks it something small now and then, a **probe**; from
one answer to the next is a **round**, of which the driver says what it took.

=================  ========================================================================================
at once            little (``FREE``) between two probes, from a client that has cost little lately
in turn            everything else: one client a round, whoever has cost least first, so that what a client
                   costs can be measured, and a server that is asked for too much is late by one turn at most
not now            from a client that has cost much while the server was late, until that is forgotten; its
                   connections are refused
=================  ========================================================================================

What a client has cost is forgotten at ``SHARE`` of a processor. What it costs while the server is late counts by the
price, which rises fourfold with each late round. Nobody waits who is alone: there is nobody to be protected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

FREE = 8 * 1024  # bytes of a round
ENTRY = 4 * 1024  # what a new connection counts for, besides
QUANTUM, LARGEST = 16 * 1024, 128 * 1024  # bytes of a turn: a TLS record at least
CHEAP, DEAR = 0.001, 0.004  # seconds of processor time that a turn should take
KNOWN, STEADY = 3, 8  # cheap turns on end, after which the next may follow at once, and may be larger
FORFEIT = 0.015  # seconds that one may take while the server is late, before it is cut short; half after an alarm
PAUSE = 2.0  # after a turn that was too dear, by what it has cost
ALARM = 10.0  # seconds after one, in which all turns are the smallest and no two follow each other at once
SHARE = 0.2  # of a processor
LIGHT = 0.03  # seconds of processor time owed, beyond which a client waits for its turn
BURST, MOST = 0.2, 2.0  # beyond which it gets none; what it may owe
LATE = 0.02  # seconds to an answer of the probe
BY_ITSELF = 0.3  # of them it must have worked: else it is late because the machine has others to serve
RISE, HIGHEST, FADE = 2.0, 4.0, 2.0  # of the price; seconds in which it falls to a third
ANSWERED = 256  # bytes of answers count as one that is asked
HEARD = 1.0  # seconds for which a client counts as there
CLIENTS = 8192  # remembered; beyond it those go that were heard of the longest ago


@dataclass(slots=True)
class _Account:
    owed: float = 0.0  # seconds of processor time, at ``at``
    at: float = 0.0
    sent: float = 0.0  # bytes in this round
    free: int = FREE  # bytes that go at once in this round
    turn: int = QUANTUM
    cheap: int = 0  # turns on end


class Turnstile:
    """``price`` is what a second of the server's time counts while it is late."""

    def __init__(self) -> None:
        self.price = 1.0
        self.usual = 2e-6  # seconds that a byte costs
        self._beside = 0.0  # processors that it uses for what does not come through here
        self._accounts: dict[str, _Account] = {}
        self._senders: dict[str, _Account] = {}  # of this round
        self._served: _Account | None = None  # whose turn it is
        self._left = 0  # bytes of it
        self._taken: dict[str, float] = {}  # bytes of turns, halved with each round
        self._busy = False  # with turns of before
        self._pause = 0.0  # until when there are none
        self._alarm = -ALARM  # when one was too dear
        self._last: _Account | None = None  # who had the last turn
        self._cost = 0.0  # of that turn until now
        self._heard: tuple[set[str], set[str]] = set(), set()
        self._heard_since = self._round = 0.0

    # what comes

    def refuses(self, client: str, now: float) -> bool:
        """Whether a new connection of this client is not even to be listened to."""
        account = self._accounts.get(client)
        return account is not None and _owed(account, now) > BURST and not self._alone(client)

    def passes(self, client: str, size: int, now: float, *, entry: bool = False) -> bool:
        """Whether so many bytes, the first of a connection or others, go on at once; else they wait for a turn."""
        account = self._account(client, now)
        counts = size + ENTRY if entry else size
        if account is self._served and counts <= self._left:
            self._left -= counts
        elif counts <= account.free and _owed(account, now) <= LIGHT:
            account.free -= counts
        elif not self._alone(client):
            return False
        account.sent += size
        return True

    def answered(self, client: str, size: int, now: float) -> None:
        """So much was answered to the client, which costs the server as well."""
        self._account(client, now).sent += size / ANSWERED

    # turns

    def next(self, waiting: Iterable[str], now: float) -> str:
        """Whose turn it is of those who wait; "" where all owe too much, or turns of before are not yet done with."""
        if self._busy or now < self._pause:
            return ""
        chosen, least = "", math.inf
        for client in waiting:
            owed = _owed(self._account(client, now), now)
            if owed < least:
                chosen, least = client, owed
        return chosen if least <= BURST or self._alone(chosen) else ""

    def begin(self, client: str, now: float) -> None:
        """The client's turn; it lasts until the round ends."""
        self._last = self._served = self._senders[client]
        self._left = QUANTUM if self._alarmed(now) else self._served.turn
        self._cost = 0.0

    def _alarmed(self, now: float) -> bool:
        return now - self._alarm < ALARM

    def takes(self, client: str, wanted: int, *, entry: bool = False) -> int:
        """How many of so many bytes the client may send in its turn now."""
        assert self._served is not None
        counts = wanted + ENTRY if entry else wanted
        taken = wanted if entry and self._left > 0 else min(wanted, max(0, self._left))
        self._left -= counts
        self._served.sent += taken
        self._taken[client] = self._taken.get(client, 0.0) + taken
        return taken

    def forfeits(self, client: str, spent: float, late: float, now: float) -> bool:
        """In the midst of a round: whether the last turn, which was this client's, has cost so much, and the client has
        not yet shown that it costs little, that what it began is to be cut off. It owes the most then."""
        last, taken, alarmed = self._last, self._taken.get(client, 0.0), self._alarmed(now)
        strict = 0.5 if alarmed else 1.0
        if last is None or late < LATE * strict or (last.turn > QUANTUM and not alarmed) or len(self._senders) < 2:
            return False
        others = sum(account.sent for account in self._senders.values() if account is not last)
        if self._cost + spent - others * self.usual < FORFEIT * strict or taken < QUANTUM / 4:
            return False
        if taken < 0.8 * sum(self._taken.values()):
            return False  # perhaps it is what another began
        last.owed, last.at, self._last = MOST, now, None
        return True

    def ended(self, spent: float, late: float, now: float) -> None:
        """A round has ended: the processor time that the server used, and how long the probe was on its way."""
        elapsed = now - self._round
        self._round = now
        self.price = max(1.0, self.price * math.exp(-elapsed / FADE))
        if late > LATE and spent > late * BY_ITSELF and len(self._senders) > 1:
            self.price = min(HIGHEST, self.price * RISE)
        rest = self._charge_usual(spent, now)
        if not self._taken:  # nobody's here: QUIC's, and the server's own
            self._beside += 0.1 * (rest / elapsed - self._beside) if elapsed else 0.0
        rest = max(0.0, rest - self._beside * elapsed)
        self._cost += rest
        dear = bool(self._taken) and rest > (DEAR if self._served else elapsed / 2)
        self._charge_turns(rest, now)
        if dear:
            self._pause, self._alarm = now + PAUSE * rest, now
        elif not self._served:
            self._taken.clear()
        served = self._served
        self._busy = dear or (served is not None and (served.cheap < KNOWN or self._alarmed(now)))
        if self._served is not None:
            _resize(self._served, rest)
        for account in self._senders.values():
            account.sent, account.free = 0.0, FREE
        self._senders.clear()
        self._served = None
        if now - self._heard_since > HEARD:
            self._heard, self._heard_since = (set(), self._heard[0]), now

    def _charge_usual(self, spent: float, now: float) -> float:
        """Everybody's bytes at what they cost usually, but those of turns; the time beyond that."""
        senders = [account for account in self._senders.values() if account is not self._served]
        total = sum(account.sent for account in senders)
        if total and not self._taken:
            self.usual += 0.1 * (min(spent / total, 2e-5) - self.usual)
        for account in senders:
            if account.sent:
                usual = min(spent * account.sent / total, account.sent * self.usual)
                dearer = not self._taken and account.sent * len(senders) > total  # who sends more than others do
                _charge(account, usual, self.price if dearer else 1.0, now)
        return max(0.0, spent - total * self.usual)

    def _charge_turns(self, rest: float, now: float) -> None:
        """What is beyond the usual is the work of those who had turns lately."""
        total = sum(self._taken.values())
        for client, taken in self._taken.items():
            account = self._accounts.get(client)
            if account is not None:
                _charge(account, rest * taken / total, self.price, now)
        self._taken = {client: taken / 2 for client, taken in self._taken.items() if taken > 512}

    # who there is

    def _alone(self, client: str) -> bool:
        return self._heard[0] | self._heard[1] <= {client}

    def _account(self, client: str, now: float) -> _Account:
        account = self._senders.get(client)
        if account is None:
            account = self._accounts.pop(client, None) or _Account(at=now)
            if len(self._accounts) >= CLIENTS:
                del self._accounts[next(iter(self._accounts))]
            self._accounts[client] = self._senders[client] = account
            self._heard[0].add(client)
        return account


def _resize(account: _Account, spent: float) -> None:
    """Larger turns for who costs little, after a while; the smallest at once for who costs much."""
    if spent > DEAR:
        account.turn, account.cheap = QUANTUM, 0
    elif spent < CHEAP and account.sent > account.turn / 2:
        account.cheap += 1
        if account.cheap >= STEADY:
            account.turn, account.cheap = min(account.turn * 2, LARGEST), 0


def _owed(account: _Account, now: float) -> float:
    return max(0.0, account.owed - (now - account.at) * SHARE)


def _charge(account: _Account, spent: float, price: float, now: float) -> None:
    """In time nobody comes to owe so much that he gets no turns."""
    owed = _owed(account, now)
    account.owed = max(owed, min(owed + spent * price, MOST if price > 1.0 else BURST))
    account.at = now
