"""aws.greengrass.clientdevices.IPDetector: tells the place above at which addresses devices find this core's broker.

What is told replaces what was there; an operator who sets the addresses (UpdateConnectivityInfo) leaves this component
out.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from littoral.core.clientdevices.ports import ClientPlace
from littoral.core.clientdevices.telling import Telling
from littoral.core.link import Link
from littoral.core.recipe import BadComponent

NAME: Final = "aws.greengrass.clientdevices.IPDetector"
EVERY: Final = 60.0  # seconds between looks at the addresses
_SIOCGIFADDR: Final = 0x8915
_IPV6: Final = Path("/proc/net/if_inet6")
_UNUSABLE: Final = 0x40 | 0x08  # an IPv6 address that is tentative, or that another machine has (IFA_F_*)
_FLAGS: Final = {
    "includeIPv4Addrs": True,
    "includeIPv4LoopbackAddrs": False,
    "includeIPv4LinkLocalAddrs": False,
    "includeIPv6Addrs": False,
    "includeIPv6LoopbackAddrs": False,
    "includeIPv6LinkLocalAddrs": False,
}


@dataclass(frozen=True, slots=True)
class Which:
    """The addresses of one version of IP that count."""

    any: bool
    loopback: bool = False
    link_local: bool = False

    def has(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        special = (address.is_loopback and not self.loopback) or (address.is_link_local and not self.link_local)
        return self.any and not special


@dataclass(frozen=True, slots=True)
class Settings:
    port: int | None  # None: the broker's own
    ipv4: Which
    ipv6: Which


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent."""
    if unknown := set(configuration) - {"defaultPort", *_FLAGS}:
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} is not served by Littoral's cores")
    port = configuration.get("defaultPort")
    given = "defaultPort" in configuration
    if given and (isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536):
        raise BadComponent(f"{NAME}: defaultPort must be a port")
    said = {name: str(configuration.get(name, default)).lower() for name, default in _FLAGS.items()}
    for name, each in said.items():
        if each not in ("true", "false"):
            raise BadComponent(f"{NAME}: {name} must be true or false")
    flags = [each == "true" for each in said.values()]
    return Settings(port, Which(*flags[:3]), Which(*flags[3:]))


USUAL, NONE = Which(any=True), Which(any=False)


def addresses(ipv4: Which = USUAL, ipv6: Which = NONE) -> list[str]:
    """Those of this machine that count."""
    found = [str(each) for each in _ipv4() if ipv4.has(each)]
    if ipv6.any:
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            found += [str(each) for each in ipv6_of(_IPV6.read_text()) if ipv6.has(each)]
    return sorted(set(found))


def _ipv4() -> Iterator[ipaddress.IPv4Address]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            yield ipaddress.IPv4Address(told[20:24])


def ipv6_of(table: str) -> Iterator[ipaddress.IPv6Address]:
    """Of /proc/net/if_inet6: address, interface, length, scope, flags and name, in hexadecimal."""
    for line in table.splitlines():
        address, _, _, _, flags, *_ = line.split()
        if not int(flags, 16) & _UNUSABLE:
            yield ipaddress.IPv6Address(bytes.fromhex(address))


class IpDetector:
    def __init__(self, telling: Telling, link: Link, place: ClientPlace) -> None:
        self._telling = telling
        self._link = link
        self._place = place
        self._settings: Settings | None = None
        self._told: Sequence[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = None if configuration is None else settings_of(configuration)
        if settings == self._settings:
            return
        await self.close()
        self._settings = settings
        if settings is not None:
            self._task = asyncio.create_task(self._follow(settings))

    async def close(self) -> None:
        self._settings = self._told = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self, settings: Settings) -> None:
        while True:
            await self._link.connected()
            await self._tell(settings)
            await asyncio.sleep(EVERY)

    async def _tell(self, settings: Settings) -> None:
        found = addresses(settings.ipv4, settings.ipv6)
        if found == self._told:
            return
        if await self._telling.addresses(found, settings.port or self._place.port):
            self._told = found
