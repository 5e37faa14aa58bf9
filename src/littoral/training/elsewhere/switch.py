"""The network between the hosts of one job. Sans-IO: packets in, where they go out.

It has the job's hosts and nothing else: one address each, IPv4. What a host sends in another's name is dropped, and
so is what is for nobody (broadcasts, IPv6, the world).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

LEAST: Final = 20  # bytes of an IPv4 header
_SOURCE, _DESTINATION, _END = 12, 16, 20


class Switch:
    def __init__(self, hosts: Mapping[str, str]) -> None:
        """Names and addresses."""
        self._addresses = {name: IPv4Address(address).packed for name, address in hosts.items()}
        self._names = {address: name for name, address in self._addresses.items()}
        self.dropped = 0

    def way(self, host: str, packet: bytes) -> str | None:
        """To which host goes what this one sent; None where it is dropped."""
        found = None
        if len(packet) >= LEAST and packet[0] >> 4 == 4 and packet[_SOURCE:_DESTINATION] == self._addresses[host]:
            found = self._names.get(packet[_DESTINATION:_END])
        if found is None or found == host:
            self.dropped += 1
            return None
        return found
