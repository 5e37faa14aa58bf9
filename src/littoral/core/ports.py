"""What the site hands in. Region: shadows, the functions' catalogue, what a device may do. Core: functions, broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import Call
from littoral.core.recipe import LambdaComponent
from littoral.protocols.mqtt.properties import PublishProperties

Deliver = Callable[[str, bytes, int], Awaitable[None] | None]
"""Takes a message's topic, payload and QoS (0 or 1). What it returns is awaited where the giver promises so."""


class Said(Protocol):
    """A message whole."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def properties(self) -> PublishProperties | None: ...


Heard = Callable[[str, bytes, str | None, str], Awaitable[None] | None]
"""Takes a message's topic, payload, content type and which component said it; "" for whoever is none. A publisher with
QoS 1 is acknowledged when what it returns is done."""


class Running(Protocol):
    """A program that has begun."""

    async def wait(self) -> int:
        """Its exit status, negative for a signal."""

    def signal(self, number: int) -> None:
        """For all processes of its group, when it has ended itself, too; the last one is SIGKILL."""


class Enclosure(Protocol):
    """Where the programs of one component run. They see and signal each other."""

    async def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], words: int) -> Running:
        """In a process group of its own; ``words`` is a descriptor for what it says. Raises OSError."""

    async def rest(self) -> bool:
        """Whether nobody is in it; then it has ended, and begins anew with the next program."""

    async def close(self) -> None:
        """SIGTERM for whatever is in it, then SIGKILL."""


Limit = Callable[[int], str]
"""Puts a process, before it does anything, within limits that hold for what it starts; says in words what is less than
was asked for. Raises OSError."""

Fence = Callable[[Sequence[Path], Sequence[Path], Limit | None], Enclosure]
"""Folders that are a component's, and folders that it may read: where its programs are confined to these."""


class Shadows(Protocol):
    async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
        """Merge ``desired`` into the named shadow, durably; a None removes. Raises ServiceError."""


class FunctionCatalog(Protocol):
    """The functions of the region."""

    async def describe(self, call: Call, lambda_arn: str) -> Mapping[str, Any]:
        """Its FunctionConfiguration (Runtime, Handler, CodeSha256 in base64, Environment …). Raises ServiceError."""

    async def code_url(self, call: Call, lambda_arn: str) -> str:
        """Where the caller can fetch the zip for a while. Raises ServiceError."""

    async def layers(self, call: Call, lambda_arn: str) -> list[tuple[str, str]]:
        """SHA-256 (base64) of each of its layers, the lowest first, and where to fetch it. Raises ServiceError."""


@dataclass(frozen=True, slots=True)
class JobExecution:
    """How far one core is with a deployment that came as a job."""

    job: str
    status: str
    details: Mapping[str, str]
    queued: float
    updated: float


class DeploymentJobs(Protocol):
    """The region's jobs, which carry deployments to thing groups, and who is in these."""

    async def create(
        self, job_id: str, namespace: str, group: str, document: str, configuration: Mapping[str, Any], now: float
    ) -> None:
        """A continuous job for a group (its ARN); durable on return, once for each id. ``configuration`` is
        iotJobConfiguration. Raises ServiceError."""

    async def cancel(self, job_id: str, now: float) -> None:
        """For cores that have not begun."""

    def status(self, job_id: str) -> str | None:
        """IN_PROGRESS, COMPLETED, CANCELED …; None where there is no such job."""

    def arn(self, job_id: str) -> str: ...

    def executions(self, thing: str) -> Sequence[JobExecution]: ...

    def groups_of(self, thing: str) -> Sequence[str]:
        """Names, with the groups above them."""

    def things_in(self, group: str) -> Sequence[str]:
        """Of the ARN of a group, and of those below it."""

    def is_thing(self, name: str) -> bool: ...


class ArtifactObjects(Protocol):
    """The region's objects, where artifacts of recipes lie."""

    async def sha256(self, bucket: str, key: str) -> str:
        """Of what the object is now, in base64. Raises ServiceError: NoSuchBucket, NoSuchKey."""

    def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Raises ServiceError."""

    def url(self, call: Call, bucket: str, key: str) -> str:
        """Where the caller can fetch it for a while."""


Allows = Callable[[Call, str, str], bool]
"""(call, action, resource ARN): whether the policies of the calling certificate allow it."""


@dataclass(frozen=True, slots=True)
class Word:
    """A line that a function said. ``mark`` is its place: what is asked for after it comes later."""

    mark: str
    at: int  # Unix milliseconds
    text: str


class Functions(Protocol):
    """The functions of the core."""

    async def install(self, component: LambdaComponent, archive: bytes, *, layers: Sequence[bytes]) -> None:
        """Make its function runnable with these zips and as many instances, durably; the same again changes nothing.
        Raises ServiceError."""

    async def reconfigure(self, component: LambdaComponent) -> bool:
        """Its function, which is installed, as the component says it; False where it is not. Raises ServiceError."""

    def installed(self, name: str, version: str) -> str | None:
        """The CodeSha256 (base64) of what is installed under that name and version."""

    async def remove(self, name: str, version: str) -> None:
        """It is not installed any more, and its instances end."""

    def surround(self, surroundings: Callable[[str, str], Mapping[str, str] | None]) -> None:
        """Who says which variables a function needs that is that component and sees the core's sockets in that folder;
        None where no such component runs."""

    def hold(self, components: Iterable[LambdaComponent], tell: Callable[[], None]) -> None:
        """These run from now on, event or not, and are started again when they end; no others are. ``tell`` is called
        when ``failure`` of one is another."""

    async def held(self) -> None:
        """Returns when each of them runs, or has failed to begin."""

    def failure(self, component: LambdaComponent) -> str:
        """Why one of them does not run; "" where it does."""

    async def words(self, component: LambdaComponent, after: str, limit: int) -> Sequence[Word]:
        """What its function has said, the oldest first; ``after`` "" is from the beginning. Raises StoreError."""

    async def last_words(self, component: LambdaComponent, limit: int) -> Sequence[str]:
        """The last of it. Raises StoreError."""

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]: ...


class Subscription(Protocol):
    def close(self) -> None:
        """No message comes after this."""


class Broker(Protocol):
    """The core's local broker."""

    def tap(self, filter: str, callback: Deliver) -> Subscription:
        """Messages in order; a QoS 1 publisher is acknowledged when what the callback returned is done, and not
        at all when it raised."""

    def relay(self, filter: str, callback: Callable[[Said], Awaitable[None] | None]) -> Subscription:
        """As ``tap``, for whoever takes messages whole."""

    async def publish(
        self, topic: str, payload: bytes, qos: int, properties: PublishProperties | None = None
    ) -> None: ...

    def listen(self, filter: str, heard: Heard) -> Subscription: ...

    async def say(self, topic: str, payload: bytes, content_type: str | None, component: str) -> None:
        """With QoS 1, in that component's name."""
