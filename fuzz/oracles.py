"""How h11 and llhttp (by httptools) read the bytes of one HTTP/1.1 connection: what ours is held against.

h11 is independent of what Littoral parses with. llhttp is what it parses with, so that one only shows what our
own callbacks and short cuts make of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools

Pairs = list[tuple[bytes, bytes]]
MOST = 1 << 20  # bytes of a head that h11 takes: ours are bounded long before


@dataclass
class Message:
    start: tuple[str, ...]  # method and target, or the status
    headers: Pairs
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    state: str = "begun"  # "whole" once its end was seen, "failed" when its framing was refused

    def whole(self, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.trailers = plain(trailers)
        self.state = "whole"


@dataclass
class Reading:
    """What one parser made of a connection. ``ends``: nothing after these messages is read, by their own words."""

    messages: list[Message] = field(default_factory=list)
    refused: bool = False
    ends: bool = False
    switched: bool = False  # the last message asks for another protocol
    left: bytes = b""  # what came after the last message of a response


def plain(pairs: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """As both write them: h11 lowers the value of Transfer-Encoding."""
    return [
        (bytes(name).lower(), bytes(value).lower() if name.lower() == b"transfer-encoding" else bytes(value))
        for name, value in pairs
    ]


# What llhttp forgives and RFC 9112 lets it (2.2, 3): line ends before a request, spaces after its method.
_FORGIVEN = re.compile(rb"[\r\n]*([A-Z-]+) +(?=\S)")


def requests_by_h11(data: bytes) -> Reading:
    reading = Reading()
    rest = data
    while True:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST)
        connection.receive_data(rest)
        begin = rest
        try:
            while _request(connection, reading):
                begin = connection.trailing_data[0]
        except h11.RemoteProtocolError:
            if reading.messages and reading.messages[-1].state == "begun":
                reading.messages[-1].state = "failed"
            cleaned = _FORGIVEN.sub(rb"\1 ", begin, count=1) if _FORGIVEN.match(begin) else begin
            if cleaned == begin or (reading.messages and reading.messages[-1].state == "failed"):
                reading.refused = True
                return reading
            rest = cleaned
            continue
        if not _kept_by_1_0(reading):
            return reading
        reading.ends = False  # h11 never keeps HTTP/1.0
        rest = connection.trailing_data[0]


def _request(connection: h11.Connection, reading: Reading) -> bool:
    """Read on to the end of one request and answer it; whether another may follow."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            method, target = event.method.decode(), event.target.decode("latin-1")
            reading.messages.append(Message((method, target, event.http_version.decode()), plain(event.headers)))
        elif isinstance(event, h11.Data):
            reading.messages[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.messages[-1].whole(event.headers)
            connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            reading.ends = connection.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
            if reading.ends:
                return False
            connection.start_next_cycle()
            return True
        else:
            return False


def _kept_by_1_0(reading: Reading) -> bool:
    last = reading.messages[-1] if reading.messages else None
    if not reading.ends or last is None or last.start[2] != "1.0":
        return False
    tokens = b",".join(value for name, value in last.headers if name == b"connection").lower().split(b",")
    words = {token.strip() for token in tokens}
    return b"keep-alive" in words and b"close" not in words


# What llhttp forgives there: line ends before, other names for the protocol, any reason.
_FORGIVEN_STATUS = re.compile(rb"[\r\n]*(?:HTTP|RTSP|ICE)(/[0-9]\.[0-9] [0-9]{3})(?: [^\r\n]*)?(?=\r\n)")


def response_by_h11(method: str, data: bytes, ended: bool) -> Reading:
    reading = Reading()
    begin = _response(method, data, ended, reading)
    while reading.refused and begin:
        cleaned = _FORGIVEN_STATUS.sub(rb"HTTP\1", begin, count=1) if _FORGIVEN_STATUS.match(begin) else begin
        if cleaned == begin:
            break
        reading.refused = False
        begin = _response(method, cleaned, ended, reading)
    return reading


def _response(method: str, data: bytes, ended: bool, reading: Reading) -> bytes:
    """Read on to the end of one response; where it is refused, its beginning if its head was."""
    begin = data
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST)
    upgrade = [("connection", "upgrade"), ("upgrade", "websocket")] if method == "GET" else []
    connection.send(h11.Request(method=method, target="/", headers=[("host", "a"), *upgrade]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    try:
        while True:
            event: Any = connection.next_event()
            if isinstance(event, h11.InformationalResponse | h11.Response):
                begin = b""
                reading.messages.append(Message((str(event.status_code),), plain(event.headers)))
                if isinstance(event, h11.InformationalResponse):
                    reading.messages[-1].whole()
                    begin = connection.trailing_data[0]
            elif isinstance(event, h11.Data):
                reading.messages[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                reading.messages[-1].whole(event.headers)
                reading.left = connection.trailing_data[0]
                return b""
            else:
                return b""
    except h11.RemoteProtocolError:
        reading.refused = True
        if reading.messages and reading.messages[-1].state == "begun":
            reading.messages[-1].state = "failed"
        return begin


class _Callbacks:
    """httptools' parser of either kind, pushed one read."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.parser: Any = None
        self.target = b""
        self.pairs: Pairs = []

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        pairs, self.pairs = self.pairs, []
        target, self.target = self.target.decode("latin-1"), b""
        method, version = self.parser.get_method().decode(), self.parser.get_http_version()
        self.reading.messages.append(Message((method, target, version), plain(pairs)))

    def on_body(self, data: bytes) -> None:
        self.reading.messages[-1].body += data

    def on_message_complete(self) -> None:
        pairs, self.pairs = self.pairs, []
        self.reading.messages[-1].whole(pairs)


def requests_by_llhttp(data: bytes) -> Reading:
    callbacks = _Callbacks()
    callbacks.parser = httptools.HttpRequestParser(callbacks)
    reading = callbacks.reading
    try:
        callbacks.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        reading.switched = True
    except httptools.HttpParserError:
        reading.refused = True
        if reading.messages and reading.messages[-1].state == "begun":
            reading.messages[-1].state = "failed"
    return reading
