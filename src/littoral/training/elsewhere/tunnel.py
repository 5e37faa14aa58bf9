"""A host's network device, from outside: what it sends is read here, and what is written here reaches it.

A packet that finds no room is dropped, as on any wire: TCP sends it again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

MOST: Final = 1 << 16  # bytes of a packet
AT_ONCE: Final = 16  # packets that are read before others have their turn


class Tunnel:
    def __init__(self, descriptor: int, heard: Callable[[bytes], None]) -> None:
        """``descriptor`` is ours from here on; ``heard`` raises nothing."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._heard = heard
        self.dropped = 0
        self.go_on()

    def pause(self) -> None:
        """Nothing is read until ``go_on``: the device's own queue holds its senders back."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def go_on(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def write(self, packet: bytes) -> None:
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, packet)
        except OSError:  # no room, no memory, or no packet
            self.dropped += 1

    def close(self) -> None:
        if self._descriptor >= 0:
            self.pause()
            os.close(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self._descriptor, MOST)
            except BlockingIOError:
                return
            except OSError:  # the network has gone with its last process
                self.close()
                return
            self._heard(packet)
            if self._descriptor < 0:
                return
