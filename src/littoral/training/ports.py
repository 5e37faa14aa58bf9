"""What training asks of other capabilities. The site hands it in (``site/training.py``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from littoral.net.message import Body

Heard = Callable[[str, bytes], None]  # a host, and a line of it


class CannotRun(Exception):
    """Nothing can run on this machine, or not this; the message says why."""


class Taking(Protocol):
    """Buckets, or who passes things on to them."""

    async def put(self, bucket: str, key: str, body: Body, size: int) -> None:
        """A body of ``size`` bytes; durable on return where it is a bucket. Raises ServiceError, OSError."""


class Objects(Taking, Protocol):
    """The region's buckets. What goes wrong is a ServiceError."""

    def has(self, bucket: str) -> bool: ...

    def keys(self, bucket: str, prefix: str) -> Iterable[tuple[str, int]]:
        """All keys under a prefix, in order, with their sizes."""

    def chunks(self, bucket: str, key: str) -> AsyncIterator[bytes]: ...


class Program(Protocol):
    """A job's processes on all its hosts, with all that they started."""

    @property
    def over_memory(self) -> bool:
        """Whether it was killed because it held more than it may."""

    async def ended(self) -> int:
        """The wait status, when nothing of it is left: of the first host that failed, with which the others are killed,
        or 0."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def close(self) -> None: ...


class LocalProgram(Program, Protocol):
    """One in this machine's sandbox."""

    @property
    def tunnel(self) -> int:
        """The descriptor by which a host that is alone meets the others, from then on the caller's."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to run."""

    work: Path  # a folder of ours
    job: Path  # the job's: in it is a folder for each host, by its name
    hosts: Mapping[str, str]  # their names, and the addresses by which they find one another
    network: bool  # whether it has the machine's
    alone: str = ""  # the one of them that this is, where each has a network of its own
    here: int = 0  # of those that are alone: how many share this machine's memory


class Sandbox(Protocol):
    """Where scripts run."""

    isolated: bool

    def give(self, folder: Path) -> None:
        """To the user whom scripts run as, with all that is in it."""

    async def start(self, order: Order, environment: Mapping[str, str], heard: Heard) -> LocalProgram:
        """The toolkit, on each host. Raises CannotRun."""


Said = Callable[[str, Sequence[bytes]], None]  # a log stream and lines for it
