"""A file made of blocks that older versions of it have, and others that come: in order, so a cut leaves a start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from littoral.protocols.blocks import Cutter, Held, Manifest, Step
from littoral.store.contract import StorageFailed

STRIDE = 1024 * 1024
Coming = Callable[[int, int], AsyncIterator[bytes]]
"""The bytes from the first offset on, so many of them; fewer where they do not come."""


async def fill(into: Path, manifest: Manifest, like: Sequence[Path], coming: Coming) -> None:
    """``into`` may have its beginning already. What is not as the manifest says shows in the whole's digest, which the
    caller looks at. Raises StorageFailed, and what ``coming`` raises; what came by then is in the file."""
    try:
        held = await asyncio.to_thread(_held, like)
        there = into.stat().st_size if into.exists() else 0
        with into.open("ab") as file:
            for step in manifest.steps(held, there):
                if step.held is not None:
                    await asyncio.to_thread(_copy, like[step.held.file], step.held.start, step.length, file)
                elif not await _come(step, coming, file):
                    return
    except OSError as problem:
        raise StorageFailed(f"{into}: {problem}") from problem


async def _come(step: Step, coming: Coming, file: BinaryIO) -> bool:
    """Whether all did."""
    left = step.length
    async for chunk in coming(step.start, step.length):
        if len(chunk) > left:
            return False
        file.write(chunk)
        left -= len(chunk)
    return not left


def _held(files: Sequence[Path]) -> dict[str, Held]:
    """All blocks of them, by digest."""
    found: dict[str, Held] = {}
    for number, path in enumerate(files):
        cutter, at = Cutter(), 0
        with path.open("rb") as file:
            while True:
                chunk = file.read(STRIDE)
                for block in cutter.feed(chunk) if chunk else cutter.end():
                    found[block.digest] = Held(number, at)
                    at += block.length
                if not chunk:
                    break
    return found


def _copy(path: Path, start: int, length: int, into: BinaryIO) -> None:
    with path.open("rb") as file:
        file.seek(start)
        while length and (chunk := file.read(min(STRIDE, length))):
            into.write(chunk)
            length -= len(chunk)
