"""Not to hear some clients for a while: their SYNs are dropped by the kernel, at a listening socket of ours.

Owns: who was refused so often that refusing is work by itself (each costs some fifty microseconds, nearly all of it the
kernel's), and the socket filter for it (classic BPF: no privilege, no rule of the packet filter). Only connections that
are yet to be made are concerned. Linux; elsewhere nothing is silenced, and everybody is refused one by one.

A client that is not heard tries again after a second, as TCP does: it hears nothing, rather than no.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Network, NetmaskValueError

LOOK = 0.1  # seconds between two looks
OFTEN = 20  # refusals between two looks
GONE = 4  # refusals that it counts for when a client resets a connection before anything was made for it
FOR = 1.0  # seconds of silence
MOST, MOST_OF_SIX = 250, 60  # clients of each family at once: a step of the filter jumps over 255 others at most

_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
_NET = 0xFFF00000  # SKF_NET_OFF: from the head of the IP packet
_WORD, _BYTE, _SHIFT, _EQUAL, _RETURN = 0x20, 0x30, 0x74, 0x15, 0x06
_ALL = 0xFFFFFFFF
Step = tuple[int, int, int, int]  # code, where to go if so, if not, and the number


class Silence:
    """Of listening sockets. ``refused`` is told of each refusal."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._often: Counter[str] = Counter()
        self._until: dict[str, float] = {}
        self._next = 0.0
        self._able = sys.platform == "linux"

    def __len__(self) -> int:
        return len(self._until)

    def refused(self, client: str, now: float, times: int = 1) -> bool:
        """True: ``look`` is due."""
        self._often[client] += times
        return now >= self._next

    def look(self, now: float) -> None:
        """Begin and end silences. To be called again after ``LOOK`` while there are some."""
        self._next = now + LOOK
        before = set(self._until)
        for client, count in self._often.items():
            if count >= OFTEN and client not in before:
                self._until[client] = now + FOR
        self._often.clear()
        for client, until in list(self._until.items()):
            if now >= until:
                del self._until[client]
        if self._able and set(self._until) != before:
            self._attach()

    def _attach(self) -> None:
        program = drops(self._until)
        for each in self._sockets:
            try:
                if self._until:
                    _set(each, program)
                else:
                    each.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
            except OSError:
                self._able = False  # a kernel without it


def drops(clients: Iterable[str]) -> list[Step]:
    """The filter that drops what comes from these clients (IPv4 addresses, networks of IPv6 of 64 bits)."""
    four, six = _numbers(clients)
    first = [(_EQUAL, len(four) - at, 0, number) for at, number in enumerate(four)]
    old: list[Step] = [(_WORD, 0, 0, _NET + 12), *first, (_RETURN, 0, 0, _ALL), (_RETURN, 0, 0, 0)]
    new: list[Step] = []
    for at, number in enumerate(six):
        dropping = 4 * (len(six) - at - 1) + 1
        new += [(_WORD, 0, 0, _NET + 8), (_EQUAL, 0, 2, number >> 32)]
        new += [(_WORD, 0, 0, _NET + 12), (_EQUAL, dropping, 0, number & _ALL)]
    new += [(_RETURN, 0, 0, _ALL), (_RETURN, 0, 0, 0)]
    version: list[Step] = [(_BYTE, 0, 0, _NET), (_SHIFT, 0, 0, 4), (_EQUAL, 0, len(old), 4)]
    return [*version, *old, *new]


def _numbers(clients: Iterable[str]) -> tuple[list[int], list[int]]:
    four: list[int] = []
    six: list[int] = []
    for client in clients:
        try:
            if ":" in client:
                six.append(int(IPv6Network(client).network_address) >> 64)
            else:
                four.append(int(IPv4Address(client)))
        except (AddressValueError, NetmaskValueError, ValueError):
            continue  # no address: a Unix socket has none
    return four[:MOST], six[:MOST_OF_SIX]


def _set(listening: socket.socket, program: Sequence[Step]) -> None:
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    listening.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("HL", len(program), ctypes.addressof(buffer)))
