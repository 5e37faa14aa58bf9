"""A place's life as a process: log, start, ``ready``, signals, drain, stop, exit code.

Owns: what an operator sees. Knows no capability: a place is the four methods below. Standard output carries one line
for each listener and then ``ready``, nothing else, so that a program can wait for it; everything else goes to
standard error.

=========  ===========================================================
exit code  meaning
=========  ===========================================================
0          stopped by SIGTERM or SIGINT, in order
1          could not start, or failed while running
2          wrong usage or settings (``cli``)
=========  ===========================================================

A second signal while draining stops at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import uvloop

from littoral.net.listen import PortInUse
from littoral.site.logs import configure
from littoral.site.settings import PORT, TABLE, Settings

log = logging.getLogger("littoral.site")

LISTENERS_FILE = "listeners.json"  # in the data folder while the place runs: {"api": "http://127.0.0.1:4566", …}


AGAIN = -1  # no exit code: the place is to be started anew


class Place(Protocol):
    """What ``site.place.build`` returns. ``again``: once it has stopped, it is to be started anew."""

    again: bool

    async def start(self) -> None:
        """Everything up and listening, or an exception and nothing left."""

    def listeners(self) -> Sequence[tuple[str, str]]:
        """Name and URL of each."""

    async def drain(self, grace: float) -> None:
        """Listeners refuse; what runs may finish for ``grace`` seconds."""

    async def stop(self) -> None:
        """Let go of everything. Called exactly once, after a failed drain too."""


T = TypeVar("T")
Build = Callable[[Settings], Awaitable[Place]]


def run(settings: Settings, build: Build) -> int:
    """Run a place until a signal; the exit code. A place that wants to be started anew becomes this program again, in
    the same process, so that whoever started it need not know."""
    configure(settings.log_level, settings.log_format)
    code = uvloop.run(_live(settings, build))
    if code == AGAIN:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    return code


def settle() -> None:
    """What has been loaded stays, and what requests leave behind is mostly not in cycles: look through everything
    seldom. A look at all of a cache and its connections takes 100 ms, in which nobody is answered."""
    gc.freeze()
    gc.set_threshold(2_000, 10, 5_000)


async def _live(settings: Settings, build: Build) -> int:
    signals = _Signals()
    with signals:
        try:
            place = await signals.unless_stopped(_started(settings, build))
        except Exception as error:  # whatever it is, the operator gets one line and exit code 1
            log.debug("start failed", exc_info=error)
            print(f"littoral: {explain(error, settings)}", file=sys.stderr)
            return 1
        if place is None:
            return 0
        try:
            settle()
            _announce(place, settings.data_dir)
            await signals.first.wait()
            log.info("stopping: what is under way has %g s to end", settings.grace)
            await signals.unless_stopped(place.drain(settings.grace), again=True)
        finally:
            (settings.data_dir / LISTENERS_FILE).unlink(missing_ok=True)
            await place.stop()
        log.info("stopped")
        return AGAIN if place.again else 0


async def _started(settings: Settings, build: Build) -> Place:
    place = await build(settings)
    await place.start()
    return place


def _announce(place: Place, folder: Path) -> None:
    listeners = list(place.listeners())
    write_listeners(dict(listeners), folder)
    for name, url in listeners:
        print(f"listening {name} {url}")
    print("ready", flush=True)


def write_listeners(listeners: Mapping[str, str], folder: Path) -> None:
    """For commands on this machine."""
    made = folder / f".{LISTENERS_FILE}.{os.getpid()}"
    made.write_text(json.dumps(dict(listeners)))
    made.replace(folder / LISTENERS_FILE)


def explain(error: Exception, settings: Settings) -> str:
    """A failed start in one line that says what to do."""
    if isinstance(error, PortInUse):
        for row in TABLE:
            if row.kind is PORT and error.port and getattr(settings, row.name) == error.port:
                return f"port {error.port} cannot be used: {error}; choose another with {row.flag}"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"cannot start: {text}"


class _Signals:
    """SIGTERM and SIGINT as events: the first asks to stop, the second to stop waiting."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def _received(self) -> None:
        (self.second if self.first.is_set() else self.first).set()

    async def unless_stopped(self, work: Awaitable[T], *, again: bool = False) -> T | None:
        """The result of ``work``, or None when the signal came first; ``work`` is cancelled and undone then."""
        running = asyncio.ensure_future(work)
        asked = asyncio.ensure_future((self.second if again else self.first).wait())
        try:
            await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return None
        finally:
            asked.cancel()
