"""Who follows whether there is a link: told soon after they ask, then of each change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

Told = Callable[[bool], None]


@dataclass(slots=True, eq=False)
class Follower:
    """Closes like a subscription."""

    told: Told
    among: list[Follower]

    def close(self) -> None:
        if self in self.among:
            self.among.remove(self)


class Followers:
    def __init__(self) -> None:
        self._state = False
        self._all: list[Follower] = []

    def add(self, told: Told) -> Follower:
        made = Follower(told, self._all)
        self._all.append(made)
        asyncio.get_running_loop().call_soon(self._begin, made)
        return made

    def say(self, state: bool) -> None:
        """It is so from now on."""
        if state != self._state:
            self._state = state
            for each in list(self._all):
                each.told(state)

    def _begin(self, follower: Follower) -> None:
        if follower in self._all:
            follower.told(self._state)
