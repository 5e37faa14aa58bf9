"""aws.greengrass.clientdevices.IPDetector: tells the place above at which addresses devices find this core's broker.

What is told replaces what was there; an operator who sets the addresses (UpdateConnectivityInfo) leaves this component
out.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from littoral.core.clientdevices.ports import ClientPlace
from littoral.core.clientdevices.telling import Telling
from littoral.core.link import Link
from littoral.core.recipe import BadComponent

NAME: Final = "aws.greengrass.clientdevices.IPDetector"
EVERY: Final = 60.0  # seconds between looks at the addresses
_SIOCGIFADDR: Final = 0x8915
_KNOWN: Final = frozenset(("defaultPort", "includeIPv4LoopbackAddrs", "includeIPv4LinkLocalAddrs"))


def check(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises BadComponent."""
    if unknown := set(configuration) - _KNOWN:
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} is not served by Littoral's cores")
    port = configuration.get("defaultPort", 8883)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise BadComponent(f"{NAME}: defaultPort must be a port")
    for name in _KNOWN - {"defaultPort"}:
        if str(configuration.get(name, False)).lower() not in ("true", "false"):
            raise BadComponent(f"{NAME}: {name} must be true or false")
    return configuration


def addresses(loopback: bool = False, link_local: bool = False) -> list[str]:
    """IPv4 addresses of this machine."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            address = ipaddress.ip_address(told[20:24])
            if (loopback or not address.is_loopback) and (link_local or not address.is_link_local):
                found.append(str(address))
    return sorted(set(found))


class IpDetector:
    def __init__(self, telling: Telling, link: Link, place: ClientPlace) -> None:
        self._telling = telling
        self._link = link
        self._place = place
        self._configuration: Mapping[str, Any] | None = None
        self._told: Sequence[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        if configuration == self._configuration:
            return
        await self.close()
        self._configuration = configuration
        if configuration is not None:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        self._configuration = self._told = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        while True:
            await self._link.connected()
            await self._tell()
            await asyncio.sleep(EVERY)

    async def _tell(self) -> None:
        assert self._configuration is not None
        wanted = self._configuration
        flags = (
            str(wanted.get(f"includeIPv4{each}Addrs", False)).lower() == "true" for each in ("Loopback", "LinkLocal")
        )
        found = addresses(*flags)
        if found == self._told:
            return
        if await self._telling.addresses(found, wanted.get("defaultPort", self._place.port)):
            self._told = found
