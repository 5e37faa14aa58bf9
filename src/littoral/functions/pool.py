"""The instances of one version, the events that wait for one, and what is resolved once for all of its events.

Owns: which instance takes the next event. The instance used last is used next, so that what is not needed grows old.
"""

from __future__ import annotations

import asyncio
from collections import deque

from littoral.functions.execution import Execution
from littoral.functions.instance import Instance
from littoral.functions.line import Pace
from littoral.functions.logs.store import Channel
from littoral.functions.slots import Share
from littoral.functions.tally import Tally
from littoral.functions.version import FunctionVersion


class Pool:
    """Of one version at one revision."""

    __slots__ = (
        "backlog",
        "booted",
        "busy",
        "channel",
        "current",
        "fresh",
        "front",
        "idle",
        "limit",
        "look",
        "opening",
        "pace",
        "queue",
        "share",
        "starting",
        "still",
        "taken",
        "tally",
        "timeout",
        "version",
    )

    def __init__(self, version: FunctionVersion, share: Share, tally: Tally, channel: Channel) -> None:
        self.version = version
        self.share = share
        self.tally = tally
        self.channel = channel  # of its own log group
        self.fresh = tally.fresh(version.memory_size)
        self.pace = Pace()
        self.timeout = float(version.timeout)
        self.limit = version.placement.max_instances
        self.current = True  # False: the version was changed or removed; instances end when they are done
        self.idle: list[Instance] = []
        self.busy: set[Instance] = set()
        self.opening: set[Instance] = set()  # in their init phase
        self.booted: set[Instance] = set()  # those among them that run the function's own code
        self.starting = 0  # those that are to come, with those in their init phase
        self.front: Instance | None = None  # the one that got the latest event
        self.backlog: deque[Execution] = deque()  # events that have a slot and wait for an instance
        self.queue: deque[Execution] = deque()  # a pinned version's, without a slot
        self.taken = 0  # events that have left the backlog
        self.still = 0  # looks in which nothing had left it
        self.look: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.busy) + self.starting

    @property
    def booting(self) -> int:
        return self.starting - len(self.booted)

    @property
    def full(self) -> bool:
        """As many instances at work as it may have."""
        return self.limit is not None and len(self.busy) + self.starting >= self.limit

    def next_waiting(self) -> Execution:
        self.taken += 1
        return self.backlog.popleft()

    def choose(self, execution: Execution) -> Instance | None:
        """An idle instance, or a busy one behind whose events this one may wait; None where there is neither."""
        mail = self.pace.depth if execution.short else 1
        front = self.front
        if mail > 1 and front is not None and 0 < len(front.line) < mail and len(front.line) < front.room:
            return front
        idle = self.idle
        while idle:
            instance = idle.pop()
            if instance.alive:
                self.busy.add(instance)
                self.front = instance
                return instance
        if mail > 1:
            for instance in self.busy:
                if 0 < len(instance.line) < mail and len(instance.line) < instance.room:
                    self.front = instance
                    return instance
        return None
