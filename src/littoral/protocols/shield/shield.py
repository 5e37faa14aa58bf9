"""Who is taken and who is refused when more is asked than can be served.

Owns: the decisions, each of which has a name, and what was refused by which. Knows no socket, no request and no clock:
the driver says who comes and what time it is, and how late its loop runs.

Three limits are each client's own: connections at once, connections a second, requests a second. They are generous, for
behind one address there may be a hospital. What protects the others is the **price**: while the loop runs late, a
request costs more tokens, fourfold at every look (sixteenfold where it is very late), so that each client's limit sinks
until those who ask the most are refused; when the loop is in time the price falls slowly. Whoever asks little never
notices: at the highest price a client still has ``FLOOR``. It does not rise for a client that is alone: there is nobody
to be protected from it.

================================  ===================================================================
name of a refusal                 why
================================  ===================================================================
``client-connections``            as many connections as one client may have are open
``client-connection-rate``        it opens them too quickly
``client-requests``               it asks too quickly (a connection is refused for that, too)
================================  ===================================================================
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from littoral.protocols.shield.buckets import Buckets

CONNECTIONS, RATE, REQUESTS = "client-connections", "client-connection-rate", "client-requests"

GRANT = 128  # requests that are paid for at once while all is well
WORK = 4.0  # what a request costs that is not answered at once, beside one that is
LATE, IN_TIME = 0.02, 0.005  # seconds: the loop runs late, the loop runs in time
VERY_LATE = 0.06  # seconds: the price rises twice at once
RISE, FALL = 4.0, 0.95
FLOOR = 100.0  # requests a second that a client has left at the highest price
MOST_FOR_CONNECTIONS = 5.0  # opening a few is how everybody begins
SECONDS = 1.0  # what a bucket of requests holds: at the highest price that much is left to who comes unawares


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Of one client. A moment may bring a second's."""

    requests: int = 50_000  # a second
    connections: int = 1_000  # at once
    connection_rate: int = 500  # a second


class Shield:
    """``refused`` counts by name, ``price`` is what a request costs now."""

    def __init__(self, limits: ClientLimits | None = None, *, width: int = 16_384) -> None:
        self.limits = limits = limits or ClientLimits()
        self.refused: Counter[str] = Counter()
        self.price = 1.0
        self._most = max(1.0, limits.requests / FLOOR)
        self._requests = Buckets(limits.requests, limits.requests * SECONDS, width=width)
        self._arrivals = Buckets(limits.connection_rate, limits.connection_rate, width=width)
        self._open: dict[str, int] = {}

    def arrives(self, client: str, now: float) -> str:
        """A client opens a connection: the name of the refusal, or "" and the connection counts until ``leaves``."""
        count = self._open.get(client, 0)
        why = ""
        if count >= self.limits.connections:
            why = CONNECTIONS
        elif self._requests.level(client, now) > self._requests.burst:
            why = REQUESTS
        elif self._arrivals.take(client, now, min(self.price, MOST_FOR_CONNECTIONS)):
            why = RATE
        if why:
            self.refused[why] += 1
        else:
            self._open[client] = count + 1
        return why

    def leaves(self, client: str) -> None:
        """Its connection has ended."""
        count = self._open.pop(client, 0) - 1
        if count > 0:
            self._open[client] = count

    def asks(self, client: str, now: float) -> int:
        """How many requests the client may make before it is looked at again, this one among them; 0: refused."""
        granted = GRANT if self.price < RISE else 1
        if self._requests.take(client, now, granted * self.price):
            self.refused[REQUESTS] += 1
            return 0
        return granted

    def works(self, client: str, now: float) -> None:
        """Its request was one of those that are not answered at once."""
        self._requests.charge(client, now, (WORK - 1.0) * self.price)

    def runs(self, late: float, clients: int) -> None:
        """How many seconds late the loop is, and of how many clients it heard lately. To be called some ten times a
        second, and while it is late after each of its turns."""
        if late > LATE and clients > 1:
            self.price = min(self._most, self.price * (RISE if late < VERY_LATE else RISE * RISE))
        elif late < IN_TIME or clients < 2:
            self.price = max(1.0, self.price * FALL)

    @property
    def connections(self) -> int:
        """Open now, of all clients."""
        return sum(self._open.values())

    @property
    def clients(self) -> int:
        """With a connection open now."""
        return len(self._open)
