"""Lifecycle rules at work: once an hour every bucket that has some is walked, a page of keys at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.events import Origin
from littoral.objects.facts import class_of, load_tags
from littoral.objects.index import Index
from littoral.objects.lifecycle import Held, Rule, aborts, changed, due, rules_of
from littoral.objects.versions import Removal
from littoral.store.contract import StoreError
from littoral.store.embedded.keys import ceiling

log = logging.getLogger("littoral.objects")
EVERY = 3600.0  # seconds
KEPT_COMPLETED = 7 * 86400.0  # seconds for which an upload that is completed again gets its answer
PAGE = 1000  # rows looked at between two looks at anything else
Due = tuple[list[Removal], dict[int, str]]  # what goes, and the class of rows that get another


class Sweeper(Ongoing):
    """``start`` and ``close`` it."""

    def __init__(self, index: Index, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock

    async def _work(self) -> None:
        while True:
            try:
                await self.sweep()
            except (ServiceError, StoreError):
                log.exception("the lifecycle rules could not be followed to their end; the next hour does it")
            await asyncio.sleep(EVERY)

    async def sweep(self) -> None:
        """Raises ServiceError, StoreError."""
        await self._index.forget_completed(self._clock() - KEPT_COMPLETED)
        for bucket, text in self._index.lifecycles():
            rules = rules_of(text)
            for prefix in sorted({rule.prefix for rule in rules}):
                chosen = [rule for rule in rules if rule.prefix == prefix]
                await self._sweep_objects(bucket, prefix, chosen)
                await self._sweep_uploads(bucket, prefix, chosen)

    async def _sweep_objects(self, bucket: str, prefix: str, rules: Sequence[Rule]) -> None:
        origin = Origin("s3.amazonaws.com", "127.0.0.1", "LIFECYCLE", self._clock())
        gone = moved = 0
        for removals, classes in self._due(bucket, prefix, rules, origin.now):
            if removals:
                outcomes = await self._index.delete(bucket, removals, origin, family="LifecycleExpiration")
                gone += sum(not isinstance(each, Exception) for each in outcomes)
            if classes:
                await self._index.set_classes(classes)
                moved += len(classes)
            await asyncio.sleep(0)
        if gone or moved:
            told = "lifecycle rules removed %d objects or versions of %s, and changed the class of %d"
            log.info(told, gone, bucket, moved)

    def _due(self, bucket: str, prefix: str, rules: Sequence[Rule], now: float) -> Iterator[Due]:
        """For each page of keys, all versions of a key together. Where something of a key goes, classes wait."""
        for page in self._pages(bucket, prefix):
            removals: list[Removal] = []
            classes: dict[int, str] = {}
            for key, rows in groupby(page, key=lambda row: row[0]):
                found = list(rows)
                versions = [_held(row) for row in found]
                going = list(due(rules, key, versions, now))
                removals += going
                if not going:
                    classes |= {found[place][1]: chosen for place, chosen in changed(rules, versions, now)}
            yield removals, classes

    def _pages(self, bucket: str, prefix: str) -> Iterator[list[tuple[Any, ...]]]:
        """Whole keys: what a page may hold of its last one only in part waits for the next."""
        start, end = prefix, ceiling(prefix)
        left: list[tuple[Any, ...]] = []
        rank: int | None = None
        while rows := self._index.versions(bucket, start, rank, end, PAGE):
            start, rank = rows[-1][0], rows[-1][1]
            rows = [*left, *rows]
            left = [row for row in rows if row[0] == start]
            yield rows[: len(rows) - len(left)]
        yield left

    async def _sweep_uploads(self, bucket: str, prefix: str, rules: Sequence[Rule]) -> None:
        now, start, last = self._clock(), prefix, None
        while rows := self._index.uploads(bucket, start, last, ceiling(prefix), PAGE):
            for key, upload_id, initiated, *_ in rows:
                if aborts(rules, initiated, now):
                    await self._index.drop_upload(bucket, key, upload_id)
            start, last = rows[-1][0], rows[-1][1]


def _held(row: tuple[Any, ...]) -> Held:
    _, _, version, size, _, modified, facts, marker, tags, retired = row
    return Held(version, modified, size, load_tags(tags), bool(marker), retired, class_of(facts))
