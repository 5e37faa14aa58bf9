"""One port for several protocols: the first byte a client sends says which.

Owns: the moment before that byte. Knows neither protocol. MQTT's CONNECT begins with 0x10, an HTTP request with a
letter, so one device port (8883) serves both and one hole in a firewall is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

Factory = Callable[[], asyncio.Protocol]


def is_http(byte: int) -> bool:
    """Whether a request line may begin so (methods are upper case letters)."""
    return 0x41 <= byte <= 0x5A


class FirstByte(asyncio.Protocol):
    """``choose`` maps the first byte to the factory of the protocol that takes over the transport, or to None to
    close at once. A client that sends nothing for ``timeout`` seconds is cut."""

    def __init__(self, choose: Callable[[int], Factory | None], timeout: float = 15.0) -> None:
        self._choose = choose
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._stop_timer()
        factory = self._choose(data[0])
        if factory is None:
            self._transport.abort()
            return
        protocol = factory()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
