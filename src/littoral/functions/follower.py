"""Who follows a mapping's source: a lane for each shard, or for each part of its keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from littoral.functions.gathering import Hands
from littoral.functions.lane import Lane
from littoral.functions.sources import NOTHING_YET, EventSource, Positions, SourceMapping


@dataclass(eq=False)
class Follower:
    """A mapping's lanes."""

    mapping: SourceMapping
    source: EventSource
    positions: Positions
    hands: Hands
    result: str = NOTHING_YET
    _lanes: list[Lane] = field(default_factory=list)

    async def start(self) -> None:
        for shard in self.mapping.starts:
            for number in range(self.mapping.factor):
                after, result, window = await self.positions.load(self.mapping, shard, number)
                self.result = result or self.result
                self._lanes.append(Lane(self, shard, number, after, window))

    async def stop(self) -> None:
        for lane in self._lanes:
            lane.stop()
        await asyncio.gather(*(lane.task for lane in self._lanes), return_exceptions=True)

    async def kill(self) -> None:
        for lane in self._lanes:
            lane.task.cancel()
        await asyncio.gather(*(lane.task for lane in self._lanes), return_exceptions=True)
