"""How far a transfer is, for whoever waits: a bar that changes on a terminal, else lines, or JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol, TextIO

from littoral.box.transfer.progress import Progress

EVERY_BAR, EVERY_LINE, EVERY_JSON = 0.25, 5.0, 1.0  # seconds
GB: Final = 1e9


class Show(Protocol):
    def update(self) -> None: ...
    def end(self) -> None: ...


@asynccontextmanager
async def shown(progress: Progress, title: str, out: TextIO, *, as_json: bool) -> AsyncIterator[None]:
    """While within; the last state is told in the end."""
    show: Show
    if as_json:
        show, every = AsJson(progress, title, out), EVERY_JSON
    elif out.isatty():
        show, every = AsBar(progress, title, out), EVERY_BAR
    else:
        show, every = AsLines(progress, title, out), EVERY_LINE

    async def tell() -> None:
        while True:
            await asyncio.sleep(every)
            show.update()

    teller = asyncio.create_task(tell())
    try:
        yield
    finally:
        teller.cancel()
        await asyncio.wait([teller])
        show.end()


class AsJson:
    def __init__(self, progress: Progress, title: str, out: TextIO) -> None:
        self._progress, self._title, self._out = progress, title, out

    def update(self) -> None:
        told = {"transfer": self._title, **self._progress.document(time.monotonic())}
        print(json.dumps(told), file=self._out, flush=True)

    end = update


class AsLines:
    def __init__(self, progress: Progress, title: str, out: TextIO) -> None:
        self._progress, self._title, self._out = progress, title, out

    def update(self) -> None:
        print(line(self._progress, self._title, time.monotonic()), file=self._out, flush=True)

    end = update


class AsBar:
    def __init__(self, progress: Progress, title: str, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        self._progress = progress
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Bar(*columns, TimeRemainingColumn(), TextColumn("{task.fields[told]}"), console=Console(file=out))
        self._task = self._bar.add_task(title, total=None, told="")
        self._bar.start()

    def update(self) -> None:
        now, progress = time.monotonic(), self._progress
        objects, _ = progress.rates(now)
        told = progress.waiting or f"{progress.done} of {progress.listed} objects, {objects:.0f}/s"
        self._bar.update(self._task, completed=progress.done_bytes, total=progress.listed_bytes or None, told=told)

    def end(self) -> None:
        self.update()
        self._bar.stop()


def line(progress: Progress, title: str, now: float) -> str:
    objects, volume = progress.rates(now)
    left, left_bytes = progress.remaining
    listed = "" if progress.whole else ", still listing"
    waiting = f"; waiting: {progress.waiting}" if progress.waiting else ""
    return (
        f"{title}: {progress.done} of {progress.listed} objects, {progress.done_bytes / GB:.3f} of "
        f"{progress.listed_bytes / GB:.3f} GB, {objects:.0f} objects/s, {volume / 1e6:.1f} MB/s, "
        f"{left} objects ({left_bytes / GB:.3f} GB) to go{listed}{waiting}"
    )
