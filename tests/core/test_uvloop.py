"""The sockets that components connect to, on the event loop that a core has: its transports are none of asyncio's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import uvloop

from littoral.core.ipc.server import IpcServer
from littoral.core.streammanager.server import StreamServer
from littoral.protocols.streammanager.wire import Operation, frame
from littoral.site.sockets import socket_folder


class Nobody:
    def of_token(self, token: str) -> None:
        """No token is known."""


def test_a_component_gets_an_answer(tmp_path: Path) -> None:
    async def connected() -> None:
        components: Any = Nobody()
        ipc = IpcServer(socket_folder(tmp_path, "uvloop") / "ipc.socket", components, {})
        await ipc.start()
        _, writer = await asyncio.open_unix_connection(str(ipc.path))
        async with asyncio.timeout(10):
            while not ipc.sessions:
                await asyncio.sleep(0.001)
        assert all(session._transport is not None for session in ipc.sessions)
        writer.close()
        await ipc.close()

        streams: Any = None
        server = StreamServer(streams, lambda _token: False)
        await server.start(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        hello = b"\xa1\x69requestId\x61a"  # {"requestId": "a"}
        writer.write(b"\x01" + frame(Operation.CONNECT, hello))
        async with asyncio.timeout(10):
            answer = await reader.readexactly(6)
        assert (answer[0], answer[5]) == (1, Operation.CONNECT_RESPONSE)
        writer.close()
        await server.close()

    uvloop.run(connected())
