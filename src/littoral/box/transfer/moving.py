"""The transfer itself: list, leave out what has arrived, send the rest with several at once, look whether all is there.

Everything that is acknowledged is in the journal; whatever is killed or cut goes on from there. While the link is away
each worker waits and tries again, until nothing has gone on for ``give_up`` seconds. What cannot be moved is told of by
name; it holds up nothing else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from littoral.box.transfer.asking import Refused, Unanswered, Unwell
from littoral.box.transfer.batches import EXTRACT, SMALL, Batch, Content, Grouping, as_file, fits, pack
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.buffers import PART, Buffers
from littoral.box.transfer.checking import absent
from littoral.box.transfer.items import Arrived, CannotMove, Changed, Item, Source
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.large import Large, abandoned
from littoral.box.transfer.objects import about_of
from littoral.box.transfer.progress import Progress
from littoral.box.transfer.sums import SHA256, sum_of

T = TypeVar("T")
ROUNDS: Final = 3  # over what changed, or was not there after all
TRIES: Final = 8  # of what is answered and cannot be read or taken
READING: Final = 2  # parts that are read while as many as may be are on their way
PAUSE: Final = (0.1, 5.0)  # seconds before a first and a later attempt
ARCHIVE: Final = ".littoral-batch"  # the key of archives: nothing is kept under it


class LinkLost(Exception):
    """Nothing has gone on for as long as was allowed. What arrived is in the journal."""


@dataclass(slots=True)
class Mover:
    source: Source
    destination: Bucket
    journal: Journal
    parallel: int = 6
    give_up: float = 900.0  # seconds
    batching: bool | None = None  # None: found out with the first batch
    prefix: str = ""  # under which the destination's keys are looked for
    making: bool = False  # the destination, where it is not there
    progress: Progress = field(default_factory=Progress)
    failed: dict[str, str] = field(default_factory=dict)  # key → why
    _tells: bool | None = None  # whether what archives tell beside time and permissions is kept there
    _alive: float = 0.0  # when something went on the last time
    _trying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _packing: asyncio.Lock = field(default_factory=asyncio.Lock)  # by one thread at a time
    _changed: set[str] = field(default_factory=set)
    _buffers: Buffers = field(init=False)

    def __post_init__(self) -> None:
        self._buffers = Buffers(self.parallel + READING)

    async def run(self) -> None:
        """Returns once all that can be moved is there, as far as the destination says. Raises LinkLost, Refused."""
        self._alive = _now()
        if self.making:
            await self._patiently(self.destination.make)
        await self._patiently(self.destination.page)
        lost: list[str] = []
        for _ in range(ROUNDS):
            self._changed.clear()
            try:
                await self._move()
            except ExceptionGroup as group:
                raise group.exceptions[0] from group
            lost = await self._patiently(lambda: absent(self.destination, self.journal, self.prefix))
            self.journal.forget(lost)
            if not lost and not self._changed:
                return
        for key in self._changed:
            self.failed[key] = "it changes while it is read"
        for key in lost:
            self.failed[key] = "it is not at the destination after it was acknowledged"

    # ----------------------------------------------------------------------------------------------- one round

    async def _move(self) -> None:
        self.failed.clear()
        progress = self.progress
        progress.listed = progress.listed_bytes = progress.done = progress.done_bytes = 0
        progress.whole = False
        queue: asyncio.Queue[list[Item] | None] = asyncio.Queue(self.parallel * 2)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._list(queue))
            for _ in range(self.parallel):
                tasks.create_task(self._work(queue))

    async def _list(self, queue: asyncio.Queue[list[Item] | None]) -> None:
        listing, grouping, left = self.source.list(), Grouping(), self.journal.uploads()
        while (page := await self._patiently(listing.page)) is not None:
            items = [one for one in page if isinstance(one, Item)]
            self.failed.update(one for one in page if not isinstance(one, Item))
            missing = self.journal.missing(items)
            self._count_listed(items, missing)
            for item in missing:
                if item.size >= PART:  # goes on with it, or ends it
                    left.pop(item.key, None)
            for group in grouping.of(missing):
                await queue.put(group)
        self.progress.whole = True
        await self._abandon(left)
        for _ in range(self.parallel):
            await queue.put(None)

    async def _abandon(self, uploads: Mapping[str, str]) -> None:
        """What they are of is gone, or as small by now as goes without one."""
        for key, upload in uploads.items():
            with suppress(CannotMove):  # and is in the journal for the next time
                await abandoned(self.destination, self.journal, key, upload, self._within_tries)

    def _count_listed(self, items: Sequence[Item], missing: Sequence[Item]) -> None:
        volume = sum(item.size for item in items)
        self.progress.listed += len(items)
        self.progress.listed_bytes += volume
        self.progress.done += len(items) - len(missing)
        self.progress.done_bytes += volume - sum(item.size for item in missing)

    async def _work(self, queue: asyncio.Queue[list[Item] | None]) -> None:
        while (group := await queue.get()) is not None:
            if group[0].size > SMALL:
                await self._alone(group[0], self._large)
            else:
                await self._together(group)

    async def _alone(self, item: Item, send: Callable[[Item], Awaitable[Arrived]]) -> None:
        try:
            self._count([await self._within_tries(lambda: send(item))])
        except Changed:
            self._changed.add(item.key)
        except (CannotMove, Refused) as problem:
            self.failed[item.key] = str(problem)

    def _count(self, arrived: Sequence[Arrived]) -> None:
        self.journal.add(arrived)
        volume = sum(one.item.size for one in arrived)
        self.progress.done += len(arrived)
        self.progress.done_bytes += volume
        self.progress.sent += len(arrived)
        self.progress.sent_bytes += volume

    # ----------------------------------------------------------------------------------------------- small ones

    async def _together(self, group: Sequence[Item]) -> None:
        found = await self._patiently(lambda: self.source.small(group))
        contents = []
        for item, one in zip(group, found, strict=True):
            if isinstance(one, Changed):
                self._changed.add(item.key)
            elif isinstance(one, Unwell):
                await self._alone(item, self._large)
            elif isinstance(one, Exception):
                self.failed[item.key] = str(one)
            else:
                contents.append(Content(item, *one))
        batched: list[Content] = []
        alone: list[Content] = []
        for content in contents:
            batches = self.batching is not False and fits(content.item.key, content.about)
            batches = batches and (self._tells is not False or as_file(content.about))
            (batched if batches else alone).append(content)
        if len(batched) < 2 or not await self._batch(batched):
            alone += batched
        await asyncio.gather(*(self._alone(one.item, _bound(self._small, one)) for one in alone))

    async def _batch(self, contents: Sequence[Content]) -> bool:
        """False where the destination does not take them so; each then goes alone."""
        if not self._found_out(contents):
            async with self._trying:
                if not self._found_out(contents):
                    return await self._first_batch(contents)
        if not self.batching or (self._tells is False and _telling(contents) is not None):
            return False
        return await self._send_batch(contents) is not None

    def _found_out(self, contents: Sequence[Content]) -> bool:
        """Whether it is known what becomes of these in an archive."""
        return self.batching is False or (
            self.batching is not None and (self._tells is not None or _telling(contents) is None)
        )

    async def _first_batch(self, contents: Sequence[Content]) -> bool:
        """Whether archives are extracted there, and all that they tell is kept, is seen by the first."""
        batch = await self._send_batch(contents, keep=False)
        if batch is None:
            return False
        if self.batching is None:
            self.batching = await self._patiently(lambda: self.destination.head(ARCHIVE)) is None
        if not self.batching:
            await self._patiently(lambda: self.destination.delete(ARCHIVE))
            return False
        if (one := _telling(contents)) is not None:
            head = await self._patiently(lambda: self.destination.head(one.item.key))
            self._tells = head is not None and about_of(head) == one.about
            if not self._tells:
                return False
        self._count(_arrived(contents, batch))
        return True

    async def _send_batch(self, contents: Sequence[Content], *, keep: bool = True) -> Batch | None:
        async with self._packing:
            batch = await asyncio.to_thread(pack, contents)
        try:
            await self._within_tries(lambda: self.destination.put_signed(ARCHIVE, batch.archive, batch.known, EXTRACT))
        except (Refused, CannotMove):
            return None
        if keep:
            self._count(_arrived(contents, batch))
        return batch

    async def _small(self, content: Content) -> Arrived:
        known = sum_of(SHA256, content.data)
        etag = await self.destination.put_signed(content.item.key, content.data, known, content.about.sent())
        return Arrived(content.item, known, etag)

    # ----------------------------------------------------------------------------------------------- large ones

    async def _large(self, item: Item) -> Arrived:
        return await Large(
            self.source, self.destination, self.journal, self._buffers, item, self._within_tries, self._part
        ).send()

    def _part(self, size: int) -> None:
        """A part that was acknowledged before its object is."""
        self._alive = _now()

    # ----------------------------------------------------------------------------------------------- patience

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer. Raises LinkLost, and whatever is an answer."""
        pause, longest = PAUSE
        while True:
            try:
                found = await ask()
            except Unanswered as problem:
                self.progress.retries += 1
                self.progress.waiting = str(problem)
                if _now() - self._alive > self.give_up:
                    raise LinkLost(str(problem)) from problem
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, longest)
                continue
            self._alive = _now()
            self.progress.waiting = ""
            return found

    async def _within_tries(self, ask: Callable[[], Awaitable[T]]) -> T:
        """As ``_patiently``, of one item: what is answered and is not taken each time is its own, and raises
        CannotMove. The destination answers something else before the last try, and after it: until it does, that is
        waited for."""
        tries = 0

        async def attempt() -> T:
            nonlocal tries
            last = tries >= TRIES - 1
            if last:
                await self.destination.page()
            try:
                return await ask()
            except Unwell as problem:
                tries += 1
                if not last:
                    raise
                await self.destination.page()
                raise CannotMove(str(problem)) from problem

        return await self._patiently(attempt)


def _telling(contents: Sequence[Content]) -> Content | None:
    """One of them of which an archive has more to tell than of a file."""
    return next((one for one in contents if not as_file(one.about)), None)


def _arrived(contents: Sequence[Content], batch: Batch) -> list[Arrived]:
    digests = zip(contents, batch.digests, strict=True)
    return [Arrived(one.item, known, md5) for one, (known, md5) in digests]


def _bound(send: Callable[[Content], Awaitable[Arrived]], content: Content) -> Callable[[Item], Awaitable[Arrived]]:
    return lambda _: send(content)


def _now() -> float:
    return asyncio.get_running_loop().time()
