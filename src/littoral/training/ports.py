"""What training asks of other capabilities. The site hands it in (``site/training.py``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from littoral.net.message import Body

Heard = Callable[[bytes], None]


class CannotRun(Exception):
    """Nothing can run on this machine, or not this; the message says why."""


class Objects(Protocol):
    """The region's buckets. What goes wrong is a ServiceError."""

    def has(self, bucket: str) -> bool: ...

    def keys(self, bucket: str, prefix: str) -> Iterable[tuple[str, int]]:
        """All keys under a prefix, in order, with their sizes."""

    def chunks(self, bucket: str, key: str) -> AsyncIterator[bytes]: ...

    async def put(self, bucket: str, key: str, body: Body, size: int) -> None:
        """A body of ``size`` bytes; durable on return."""


class Program(Protocol):
    """A job's process with all that it started."""

    @property
    def over_memory(self) -> bool:
        """Whether it was killed because it held more than it may."""

    async def ended(self) -> int:
        """The wait status, when nothing of it is left."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def close(self) -> None: ...


class Sandbox(Protocol):
    """Where scripts run."""

    isolated: bool

    def seen(self, job: Path) -> str:
        """Where a script sees its job's folder."""

    def give(self, folder: Path) -> None:
        """To the user whom scripts run as, with all that is in it."""

    async def start(
        self,
        work: Path,
        job: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        heard: Heard,
        *,
        network: bool,
    ) -> Program:
        """The toolkit, with these arguments. Raises CannotRun."""


Said = Callable[[str, Sequence[bytes]], None]  # a log stream and lines for it
