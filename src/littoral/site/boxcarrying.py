"""Transfers of boxes' jobs that the region itself sees to: ``littoral box import`` as a process of its own, so that the
region's loop serves others meanwhile; started again until the job is over, also after the region's own restart.

Owns: which transfers are running and why the last try of each ended. The job says what is to be carried (``carried``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from littoral.box.region.job import Job
from littoral.box.region.states import IN_PROGRESS
from littoral.box.region.steps import Steps
from littoral.site.front.process import end_with_parent
from littoral.site.place import Place

log = logging.getLogger("littoral.site")
FIRST, LONGEST = 1.0, 60.0  # seconds between two tries
GRACE = 5.0  # seconds for a transfer to end; it goes on from its journal
SAID: Final = "littoral: "  # what is no line of progress
WORDS: Final = {"IMPORT": ("import", "--from"), "EXPORT": ("export", "--to")}


class Carriers:
    """``start`` when the region serves; it ends with the place."""

    def __init__(self, steps: Steps, folder: Path, region: str) -> None:
        self._steps = steps
        self._folder = folder
        self._env = {**os.environ, "LITTORAL_REGION": region}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._problems: dict[str, str] = {}

    def start(self, place: Place) -> None:
        """Those that were under way when the region ended."""
        place.quiet(self.close)
        for job in self._steps.carried():
            self._run(job)

    async def close(self) -> None:
        for job in list(self._running):
            await self._end(job)

    async def begin(self, job: str, url: str) -> None:
        """From or to the box at ``url``, from now on. Raises InvalidJobStateException and the like."""
        await self._steps.begin(job)
        await self._steps.carry(job, url)
        await self._end(job)
        self._run(job)

    async def stop(self, job: str) -> None:
        """It may be carried on by hand, or in the background once more."""
        await self._steps.carry(job, "")
        await self._end(job)

    def status(self, job: str) -> dict[str, object]:
        return {"running": job in self._running, "problem": self._problems.get(job, "")}

    def by_hand(self, job: str) -> None:
        """Somebody carries it out: why an earlier try of ours ended says nothing more."""
        if job not in self._running:
            self._problems.pop(job, None)

    def _run(self, job: str) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(job))
        self._running[job] = task
        task.add_done_callback(lambda ended: self._running.pop(job, None) if self._running.get(job) is ended else None)

    async def _end(self, job: str) -> None:
        task = self._running.pop(job, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _carry(self, identifier: str) -> None:
        pause = FIRST
        while _wanted(job := self._steps.job(identifier)):
            word, flag = WORDS[job.kind]
            code, last = await self._try((word, identifier, flag, job.carried))
            self._problems[identifier] = last if code or last.startswith(SAID) else ""
            if code:
                log.warning("%s of %s ended with %d and goes on in %.0f s: %s", word, identifier, code, pause, last)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST)

    async def _try(self, words: Sequence[str]) -> tuple[int, str]:
        """Its exit status and the last line that it said."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "littoral", "box", *words, "--data-dir", str(self._folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            preexec_fn=end_with_parent,
            start_new_session=True,
        )
        assert child.stderr is not None
        said: deque[str] = deque(maxlen=1)
        try:
            async for line in child.stderr:
                said.extend([line.decode("utf-8", "replace").strip()][: bool(line.strip())])
            return await child.wait(), said[0] if said else ""
        except asyncio.CancelledError:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), GRACE)
            except TimeoutError:
                child.kill()
                await child.wait()
            raise


def _wanted(job: Job) -> bool:
    return bool(job.carried) and job.state == IN_PROGRESS
