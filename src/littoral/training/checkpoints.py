"""A job's checkpoints, carried to S3 while it runs, so that it goes on from there when it was interrupted.

A file that is being written must not go up by half: it is sent when two looks found it the same, and again when it
changed meanwhile. What the script removes stays in S3, as on SageMaker.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from littoral.aws.service import ServiceError
from littoral.training import leftovers
from littoral.training.leftovers import Left
from littoral.training.ports import Taking

log = logging.getLogger(__name__)


class Where(NamedTuple):
    bucket: str
    prefix: str  # empty, or ends in a slash


class Checkpoints:
    """``folder``: steps beneath a job's folder, ``root``."""

    def __init__(self, objects: Taking, where: Where, root: Path, *folder: str) -> None:
        self._objects = objects
        self._where = where
        self._root = root
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}  # at the last look
        self._sent: dict[str, tuple[int, int]] = {}

    def begin(self) -> None:
        """What is there now came from S3."""
        with leftovers.beneath(self._root, *self._folder) as folder:
            self._sent = {left.name: left.state for left in leftovers.files(folder)}

    async def look(self, *, last: bool = False) -> None:
        """Send what has changed and stands still; at the ``last`` look nobody writes any more. Where a bucket does not
        take it, it is tried again at the next look."""
        with leftovers.beneath(self._root, *self._folder) as folder:
            for left in leftovers.files(folder):
                still = last or self._seen.get(left.name) == left.state
                self._seen[left.name] = left.state
                if still and self._sent.get(left.name) != left.state and folder is not None:
                    await self._send(folder, left)

    async def _send(self, folder: int, left: Left) -> None:
        try:
            with leftovers.opened(folder, left) as file:
                body = leftovers.Whole(file, left)
                await self._objects.put(self._where.bucket, self._where.prefix + left.name, body, left.size)
        except (OSError, ServiceError) as problem:
            log.warning("checkpoint %s was not carried to s3://%s: %s", left.name, self._where.bucket, problem)
        else:
            self._sent[left.name] = left.state
