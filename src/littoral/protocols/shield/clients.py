"""Who counts as one client: an IPv4 address, or the /64 that an IPv6 address is of.

A /64 is what one subscriber is given (RFC 6177, RFC 7934); whoever has one has 2^64 addresses to ask from.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address


def client_of(host: str) -> str:
    """The client of a numeric address; any other text stands for itself."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    mapped = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
