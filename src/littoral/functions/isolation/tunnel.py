"""The network device of a host that is alone in its network: what it sends is read from a descriptor by whoever has
that, and what is written there it receives. Needs CAP_NET_ADMIN in the network namespace, which has to be the caller's
when the device is made."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

DEVICE, NAME = "/dev/net/tun", b"eth0"
MTU = 65520  # it is nobody's wire: the larger a packet, the fewer
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_UP = 0x400454CA, 0x1, 0x1000, 0x1
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFMTU = 0x8914, 0x8916, 0x891C, 0x8922


def opened() -> int:
    """No device yet. Raises OSError where the machine has none to give."""
    return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)


def make(address: str, netmask: str) -> int:
    """The device is up, with the address, on return. Raises OSError."""
    tunnel = opened()
    try:
        fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", NAME, IFF_TUN | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for what, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
                fcntl.ioctl(
                    any_socket, what, struct.pack("16sHH4s16x", NAME, socket.AF_INET, 0, socket.inet_aton(value))
                )
            fcntl.ioctl(any_socket, SIOCSIFMTU, struct.pack("16si20x", NAME, MTU))
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", NAME, IFF_UP))
    except BaseException:
        os.close(tunnel)
        raise
    return tunnel


def hand_out(control: int, tunnel: int) -> None:
    """To the place, by the socket that the keeper has its orders from."""
    with socket.socket(fileno=os.dup(control)) as line:
        socket.send_fds(line, [b'{"ev": "tunnel"}'], [tunnel])
    os.close(tunnel)
