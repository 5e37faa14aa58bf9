"""What a job leaves behind, into its bucket: ``model`` and ``output/data`` of all its hosts together.

Where several hosts wrote a file of one name, that of the first host counts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from littoral.training import leftovers
from littoral.training.job import Job
from littoral.training.leftovers import Left, Whole
from littoral.training.ports import Objects
from littoral.training.wanted import split

PARTS = {"model": ("model",), "output": ("output", "data")}


async def give(job: Job, objects: Objects, roots: Sequence[Path], work: Path, *, model: bool) -> None:
    """``roots``: the hosts' folders; ``work``: a folder of ours. Raises ServiceError, OSError."""
    compressed = job.wanted["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
    for name, steps in PARTS.items():
        if name == "model" and not model:
            continue
        if name == "output" and not _there(roots, steps):
            continue
        if compressed:
            await _give_packed(job, objects, roots, steps, work / f"{name}.tar.gz")
        else:
            await _give_each(job, objects, roots, steps, name)
    if model:
        job.artifacts = f"{job.output}/model{'.tar.gz' if compressed else '/'}"


def _there(roots: Sequence[Path], steps: tuple[str, ...]) -> bool:
    with leftovers.gathered(roots, *steps) as found:
        return bool(found)


async def _give_packed(
    job: Job, objects: Objects, roots: Sequence[Path], steps: tuple[str, ...], archive: Path
) -> None:
    await asyncio.to_thread(leftovers.pack, roots, steps, archive)
    bucket, key = split(f"{job.output}/{archive.name}")
    with archive.open("rb") as file:
        about = os.fstat(file.fileno())
        body = Whole(file, Left(archive.name, about.st_size, about.st_mtime_ns))
        await objects.put(bucket, key, body, about.st_size)


async def _give_each(job: Job, objects: Objects, roots: Sequence[Path], steps: tuple[str, ...], name: str) -> None:
    with leftovers.gathered(roots, *steps) as found:
        for folder, left in found:
            bucket, key = split(f"{job.output}/{name}/{left.name}")
            with leftovers.opened(folder, left) as file:
                await objects.put(bucket, key, Whole(file, left), left.size)
