"""A connection that becomes another protocol's: WebSockets of our own, and relays to a server that answered 101."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from littoral.net.incoming import IncomingBody
from littoral.net.message import Request, Switching, WebSocketUpgrade
from littoral.net.patience import Patient
from littoral.net.reading import BY_STOP
from littoral.net.relay import Relay
from littoral.net.responding import END, plain
from littoral.net.websocket import WebSocketBridge
from littoral.protocols.http1 import response_head
from littoral.protocols.websocket import HandshakeRefused, accept_handshake

if TYPE_CHECKING:
    from littoral.net.listen import HttpService


class Upgrading(Patient):
    __slots__ = ("_bridge",)

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._bridge: WebSocketBridge | None = None

    def _upgrade(self, request: Request, answer: WebSocketUpgrade | Switching, body: IncomingBody | None) -> bool:
        if isinstance(answer, WebSocketUpgrade):
            return self._accept_websocket(request, answer, body)
        return self._switch(answer)

    def _upgrade_begins(self, rest: bytes) -> None:
        """The parser has stopped at an upgrade request; ``rest`` is no HTTP."""
        if self._bridge is not None:
            self._bridge.data_received(rest)
        elif not self._finished:
            self._stopped = True
            self._rest = rest
            self._hold(BY_STOP)

    def _accept_websocket(self, request: Request, upgrade: WebSocketUpgrade, body: IncomingBody | None) -> bool:
        try:
            if body is not None:
                raise HandshakeRefused(400, "a WebSocket handshake has no body")
            lines = accept_handshake(request.method, request.headers.raw, upgrade.subprotocol)
        except HandshakeRefused as refused:
            answer = plain(refused.status, refused.reason)
            answer.headers.raw.extend(refused.headers)
            return self._send_whole(request, answer, cast(bytes, answer.body), False, body)
        head, _ = response_head(101, upgrade.headers.raw, self._server.date_line)
        self._transport.write(b"\r\n".join((head, *(name + b": " + value for name, value in lines))) + END)
        self._bridge = bridge = WebSocketBridge(upgrade.protocol_factory(), self._server)
        self._server.replace(self, bridge)
        self._finished = True
        self._transport.set_protocol(bridge)
        bridge.connection_made(self._transport)
        self._held = 0
        self._transport.resume_reading()
        if self._rest:
            bridge.data_received(self._rest)
        return False

    def _switch(self, answer: Switching) -> bool:
        if self._finished or not self._stopped:
            answer.upstream.release()
            raise ConnectionResetError("the client has gone, or did not ask to switch protocols")
        head, _ = response_head(101, answer.headers.raw, self._server.date_line)
        self._transport.write(head + b"\r\nconnection: Upgrade\r\nupgrade: " + answer.protocol + END)
        relay = Relay(self._server, answer.idle_timeout)
        self._server.replace(self, relay)
        self._finished = True
        relay.start(self._transport, self._rest, answer)
        return False
