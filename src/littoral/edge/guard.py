"""The shield at an edge location's doors: what it decides about connections and requests, done.

Owns: the clock that it lives by, the answer to who is refused, and what the log says of it. The decisions are
``protocols.shield``'s. One guard stands before all listeners of a location, so a client has one limit at all of them.

    guard = Guard(Shield(limits), pop)
    listen_http(guard.before(pipeline.handle), gate=guard, …)

A client that was looked at may make some requests before it is looked at again, so what a request costs here is one
look into a dictionary. The dictionary is emptied ten times a second and the clock stops when nobody asks.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from littoral.edge import answer
from littoral.net.message import Answer, Handler, Headers, Request, Response
from littoral.net.passage import Again, Passage
from littoral.net.turns import Turns
from littoral.protocols.http1 import prepared_head
from littoral.protocols.shield import Shield, client_of
from littoral.protocols.shield.shield import LATE, REQUESTS

log = logging.getLogger("littoral.edge.shield")

LOOK = 0.1  # seconds between two looks at the loop, while it is not late
AGAIN = 0.06  # seconds at least between two that find the loop behind
SAY = 10.0  # seconds between two lines of the log about one reason
MAX_CLIENTS = 8192
FADE = 0.95  # of two clients one is forgotten after a second and a half
LOCATION = 1000  # requests of another location between two looks
WAITING = "client-waiting"  # too many connections wait to be served, and of this client's the most
LABEL = "LimitExceeded from cloudfront"


class Guard:
    """A ``net.accepting.Gate`` for connections, and a handler in front of handlers (``before``)."""

    def __init__(
        self,
        shield: Shield,
        pop: str,
        known: Callable[[str], bool] = lambda _: False,
        refused: Callable[[str, str, str], None] = lambda why, client, host: None,
    ) -> None:
        """``known`` says of an address whether it is another location's, which asks for many viewers. ``refused`` is
        told of each refusal: its name, the client, and the host that a request is for."""
        self.shield = shield
        self._refused = refused
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._left: dict[str, int] = {}  # requests that a client may make before it is looked at again
        self._timer: asyncio.TimerHandle | None = None
        self._looking = False  # the next look at the loop is to come
        self._closed = False
        self._due = 0.0
        self._turns = Turns.of_loop()
        self._risen = 0.0  # when the loop was last found late
        self._heard = 0.0  # clients that asked lately: the most of any tick, fading
        self._quiet = True  # nobody was looked at since the last tick
        self._said: Counter[str] = Counter()
        self._next_saying = 0.0
        self._latest = ""
        page = answer.page(429, "Too Many Requests", "This address asks for more than can be served.", pop, LABEL)
        page.headers.set("retry-after", "1")
        assert isinstance(page.body, bytes)
        self._refusal = Response(429, Headers([]), page.body, close=True, prepared=prepared_head(429, page.headers.raw))

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # connections

    def knows(self, host: str) -> bool:
        """Whether the address is another location's."""
        return self._known(host)

    def refuses(self, client: str, why: str) -> None:
        """Somebody else, who stands before this guard's listeners, has refused a client."""
        self._wake()
        self.shield.refused[why] += 1
        self._latest = client
        self._refused(why, client, "")

    def arrives(self, host: str) -> bool:
        self._wake()
        client = client_of(host)
        why = self.shield.arrives(client, self._loop.time())
        if why and not self._known(host):
            self._latest = client
            self._refused(why, client, "")
            return False
        return True

    def leaves(self, host: str) -> None:
        self.shield.leaves(client_of(host))

    def crowded_out(self, host: str) -> None:
        client = client_of(host)
        self.shield.leaves(client)
        self.refuses(client, WAITING)

    # requests

    def before(self, enter: Handler) -> Handler:
        """A handler that hands on to ``enter`` what is within the limits."""
        left, works = self._left, self._works

        def handle(request: Request) -> Answer | Awaitable[Answer]:
            host = request.peer.host
            granted = left.get(host) or self._look(host)
            if not granted:
                self._refused(REQUESTS, client_of(host), request.host)
                return self._refusal
            left[host] = granted - 1
            made = enter(request)
            if type(made) is not Response:
                works(host)
                if isinstance(made, Passage) and made.again is not None:
                    made.again = partial(self._working_again, host, made.again)
            elif made.again is not None:
                made.again = partial(self._again, host, made.again)
            return made

        return handle

    def _working_again(self, host: str, again: Again) -> bytes | Passage | None:
        whole = self._again(host, again)
        if whole is not None:
            self._works(host)
        return whole

    def _again(self, host: str, again: Again) -> bytes | Passage | None:
        """The same for a request that is answered without its handler."""
        granted = self._left.get(host)
        if not granted:
            return None
        self._left[host] = granted - 1
        return again()

    def _look(self, host: str) -> int:
        self._wake()
        if len(self._left) >= MAX_CLIENTS:
            self._left.clear()
        client = client_of(host)
        granted = self.shield.asks(client, self._loop.time())
        if not granted and self._known(host):
            return LOCATION
        if not granted:
            self._latest = client
        return granted

    def _works(self, host: str) -> None:
        self.shield.works(client_of(host), self._loop.time())

    # the clock

    def _wake(self) -> None:
        self._quiet = False
        if not self._looking:
            self._look_later()

    def _look_later(self) -> None:
        self._looking = True
        self._due = self._loop.time() + LOOK
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._loop.call_soon(self._turn_begins, self._loop.time() - self._due)

    def _turn_begins(self, late: float) -> None:
        """A timer is late by what is left of a turn of the loop; whoever asks at its beginning waits for all of it."""
        self._loop.call_soon(self._turn_ends, late, self._loop.time())

    def _turn_ends(self, late: float, begun: float) -> None:
        now = self._loop.time()
        late = max(late, now - begun, self._turns.late)
        if late > LATE and now - self._risen < AGAIN and self._turns.late:
            self._turn_begins(0.0)  # turns are short then, and it is no later than it was known to be
            return
        if late > LATE:
            self._risen = now
        self._heard = max(len(self._left), self._heard * FADE)
        self.shield.runs(late, math.ceil(self._heard))
        self._left.clear()
        self._say(now)
        if self._closed:
            return
        if late > LATE:  # each turn is looked at until one is not
            self._turn_begins(0.0)
        elif not self._quiet or self.shield.price > 1.0:
            self._look_later()
            self._quiet = True
        else:
            self._looking = False

    def _say(self, now: float) -> None:
        """One line for many refusals."""
        if now < self._next_saying or self._said == self.shield.refused:
            return
        self._next_saying = now + SAY
        new = self.shield.refused - self._said
        self._said = Counter(self.shield.refused)
        told = ", ".join(f"{count} for {name}" for name, count in sorted(new.items()))
        log.warning("refused %s, of %s lately; a request costs %.0f", told, self._latest, self.shield.price)
