"""What has been sent and has not arrived: only the kernel knows."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios


def held_by_kernel(descriptor: int) -> int:
    """Bytes that the other side's kernel has not said to have."""
    held = bytearray(4)
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, held)
    return int.from_bytes(held, sys.byteorder)


def on_its_way(transport: asyncio.Transport) -> int:
    """Bytes that are written and have not arrived; an end that was said counts as one. 0 where it is closed."""
    descriptor: int = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return 0
    return transport.get_write_buffer_size() + held_by_kernel(descriptor)
