"""One port for two protocols: the first byte says which (MQTT's CONNECT is 0x10, HTTP begins with a letter)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

ProtocolFactory = Callable[[], asyncio.Protocol]


class FirstByte(asyncio.Protocol):
    """Hands the connection to the protocol that ``choose(first byte)`` makes, with all that was received."""

    def __init__(self, choose: Callable[[int], ProtocolFactory | None], timeout: float = 15.0) -> None:
        self._choose = choose
        self._timeout = timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._watchdog = asyncio.get_running_loop().call_later(self._timeout, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._watchdog.cancel()
        factory = self._choose(data[0])
        if factory is None:
            self._transport.abort()
            return
        protocol = factory()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watchdog.cancel()
