"""What the site hands in for a core's client devices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.core.clientdevices.groups import Device


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    certificate: str  # PEM, as all of them
    private_key: str
    public_key: str
    authorities: tuple[str, ...]


Judge = Callable[[Device, str, str], bool]
"""(device, operation, resource), as ``Groups.allow``."""


class ClientPlace(Protocol):
    """The core's broker and its copy of the registry."""

    port: int  # of the broker for devices

    def device(self, certificate: str, thing: str) -> Device | None:
        """The thing, where that certificate (its id) is active and attached to it."""

    def active(self, certificate: str) -> bool: ...

    def judge_by(self, judge: Judge | None) -> None:
        """Devices at the broker are judged so from now on, who is connected too; None: by their IoT policies."""

    def issue(self, hosts: Collection[str], lasts: float | None) -> ServerCertificate:
        """A certificate for a broker that a component has: for the core's own names and ``hosts``; ``lasts`` so many
        seconds, None: as long as any of the place's."""

    def show(self, hosts: Collection[str], lasts: float | None) -> None:
        """The core's broker shows such a certificate, from the next handshake on."""

    def sign_by(self, authority: tuple[bytes, bytes] | None) -> None:
        """Who signs them from now on: certificate (and those above it) and private key, PEM; None: the place's own.
        Raises BadComponent where they are none."""

    def authorities(self) -> Sequence[str]:
        """PEM of those that sign the broker's certificate."""
