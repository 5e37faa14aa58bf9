"""IP sets as sorted ranges, one bisection a look-up; and the address that a header forwards.

Owns: addresses as numbers. An IPv4 address in IPv6 form (``::ffff:192.0.2.1``) is the IPv4 address.
"""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from littoral.edge.waf.view import View

Number = tuple[int, int]  # version (4 or 6), address
_KNOWN: dict[str, Number | None] = {}
_MOST_KNOWN = 65536


def number(text: str) -> Number | None:
    """None for what is no address."""
    try:
        return _KNOWN[text]
    except KeyError:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        made = _KNOWN[text] = _number(text)
        return made


def _number(text: str) -> Number | None:
    try:
        if ":" not in text:
            return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text))
        value = int.from_bytes(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]))
    except (OSError, ValueError):
        return None
    return (4, value & 0xFFFFFFFF) if value >> 32 == 0xFFFF else (6, value)


class AddressSet:
    """CIDR blocks. Raises ValueError for what is none."""

    def __init__(self, blocks: Iterable[str]) -> None:
        networks = [ipaddress.ip_network(block, strict=False) for block in blocks]
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        for version in (4, 6):
            merged = ipaddress.collapse_addresses([each for each in networks if each.version == version])  # type: ignore[type-var]
            pairs = sorted((int(each[0]), int(each[-1])) for each in merged)
            self._starts[version] = [first for first, _ in pairs]
            self._ends[version] = [last for _, last in pairs]

    def __contains__(self, address: Number) -> bool:
        version, value = address
        index = bisect_right(self._starts[version], value) - 1
        return index >= 0 and value <= self._ends[version][index]


Address = Callable[[View], "str | bool | None"]


def address_of(config: Mapping[str, Any] | None) -> Address:
    """The client's address: the connection's, or the first one of a header. True or False is what the fallback
    decides for a header that holds none; None is "there is no such header, the rule does not apply"."""
    if config is None:
        return lambda view: view.ip
    name, fallback = config["HeaderName"].lower().encode(), config["FallbackBehavior"] == "MATCH"

    def forwarded(view: View) -> str | bool | None:
        value = view.header(name)
        if value is None:
            return None
        first = value.partition(b",")[0].strip().decode("latin-1")
        return first if number(first) is not None else fallback

    return forwarded


def member_test(members: AddressSet, config: Mapping[str, Any] | None) -> Callable[[View], bool]:
    """IPSetReferenceStatement."""
    if config is None:

        def own(view: View) -> bool:
            address = number(view.ip)
            return address is not None and address in members

        return own
    name, fallback = config["HeaderName"].lower().encode(), bool(config["FallbackBehavior"] == "MATCH")
    position = config["Position"]

    def forwarded(view: View) -> bool:
        value = view.header(name)
        if value is None:
            return False
        texts = [part.strip().decode("latin-1") for part in value.split(b",")][:10]
        chosen = {"FIRST": texts[:1], "LAST": texts[-1:], "ANY": texts}[position]
        numbers = [number(text) for text in chosen]
        if None in numbers and position != "ANY":
            return fallback
        valid = [each for each in numbers if each is not None]
        return any(each in members for each in valid) if valid else fallback

    return forwarded
