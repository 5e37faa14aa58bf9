"""What the IPC server needs of its core: who its components are, and the way upward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from littoral.core.configuration import Configuration
from littoral.core.ports import Subscription
from littoral.core.spool import Extras
from littoral.protocols.mqtt.packets import Publish


@dataclass(frozen=True, slots=True)
class Details:
    name: str
    version: str
    state: str  # NEW, INSTALLED, STARTING, RUNNING, STOPPING, ERRORED, BROKEN, FINISHED


class Components(Protocol):
    def of_token(self, token: str) -> str | None:
        """The component whose process was given that token."""

    def configuration(self, name: str) -> Configuration | None: ...

    def filled(self, name: str, value: Any) -> Any:
        """A part of a component's configuration, with recipe variables filled in where the deployment says so."""

    async def save(self, name: str) -> None:
        """Make the configuration durable. Raises StoreError."""

    def report(self, name: str, state: str) -> bool:
        """A component says that it is RUNNING or ERRORED; False where it is none that is a program."""


class Cloud(Protocol):
    """The place above."""

    def hear(self, filter: str, taker: Callable[[Publish], None]) -> Subscription:
        """Messages from there, whole."""

    def follow(self, told: Callable[[bool], None]) -> Subscription:
        """Whether there is a link: now, and whenever that changes."""

    async def put(self, topic: str, payload: bytes, qos: int, extras: Extras) -> None:
        """Durably kept when it returns; sent when there is a link. Raises StoreError."""


class LocalShadows(Protocol):
    """What is kept of devices' shadows here; name "" is the classic one. What is awaited raises ShadowError."""

    limit: int  # bytes of a state

    async def get_with(self, thing: str, name: str) -> Mapping[str, Any]: ...

    async def update_with(self, thing: str, name: str, payload: bytes) -> Mapping[str, Any]:
        """The accepted document, once it is durable."""

    async def delete_with(self, thing: str, name: str) -> Mapping[str, Any]: ...

    def on_shadow_changed(self, listener: Callable[[str, str, dict[str, Any] | None], None]) -> None:
        """Called with thing, name and document (None: deleted) after each durable change."""

    async def names(self, thing: str, after: str, limit: int) -> Sequence[str]:
        """In order; one more than ``limit`` where there are more."""

    async def told(self, thing: str, name: str, end: str, document: Mapping[str, Any]) -> None:
        """Publish that on a topic of the shadow (``end``: ``get/accepted``) if anybody hears it. Raises StoreError."""
