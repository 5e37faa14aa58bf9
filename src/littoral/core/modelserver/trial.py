"""A new version on trial: it is asked what the serving one was asked, and nobody hears what it answers.

The file's samples come first, then questions of devices as they come: one at a time, so a slow version on trial holds
up nobody, and those that come meanwhile are not compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from littoral.core.modelserver.comparing import Bounds, Comparison, NotAlike, questions_of
from littoral.core.modelserver.ports import NotServed

MOST_SAMPLES: Final = 64 * 1024 * 1024  # bytes of the file

Ask = Callable[[bytes], Awaitable[bytes]]  # raises NotServed


class Trial:
    """``offer`` what was asked and answered while ``passed`` is awaited."""

    def __init__(self, bounds: Bounds, serving: Ask, tried: Ask, samples: Path | None) -> None:
        self._bounds = bounds
        self._serving = serving
        self._tried = tried
        self._samples = samples
        self._heard: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(1)

    def offer(self, question: bytes, answer: bytes) -> None:
        if not self._heard.full():
            self._heard.put_nowait((question, answer))

    async def passed(self) -> None:
        """Raises NotServed: it has failed, or it did not come about in its time."""
        asked = 0
        try:
            async with asyncio.timeout(self._bounds.seconds):
                for each in (self._of_samples, self._of_devices):
                    comparison = await each()
                    asked += comparison.asked
                    if comparison.verdict:
                        raise NotServed(comparison.verdict)
        except TimeoutError:
            text = f"the trial was not over in {self._bounds.seconds:g} seconds"
            raise NotServed(text) from None
        except NotAlike as problem:
            raise NotServed(str(problem)) from problem

    async def _of_samples(self) -> Comparison:
        """Raises NotAlike."""
        if self._samples is None:
            return Comparison(self._bounds, 0)
        samples = questions_of(await asyncio.to_thread(_lines, self._samples))
        comparison, wrong = Comparison(self._bounds, len(samples)), ""
        for question in samples:
            if comparison.over:
                break
            try:
                answer = await self._serving(question)
            except NotServed as problem:
                wrong = str(problem)
                continue  # what the one that serves cannot answer judges nobody
            await self._compare(comparison, question, answer)
        if not comparison.asked:
            raise NotAlike(f"its samples are nothing that the version before answers: {wrong}")
        return comparison

    async def _of_devices(self) -> Comparison:
        comparison = Comparison(self._bounds, self._bounds.questions)
        while not comparison.over:
            await self._compare(comparison, *await self._heard.get())
        return comparison

    async def _compare(self, comparison: Comparison, question: bytes, answer: bytes) -> None:
        try:
            comparison.answered(answer, await self._tried(question))
        except NotServed as problem:
            comparison.failing(str(problem))


def _lines(file: Path) -> list[bytes]:
    """Raises NotAlike."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_SAMPLES + 1)
    except OSError as problem:
        raise NotAlike(f"its samples cannot be read: {problem}") from problem
    if len(data) > MOST_SAMPLES:
        raise NotAlike(f"its samples have more than {MOST_SAMPLES} bytes")
    return data.splitlines()
