"""Requests with a large body: each on a connection of its own, sent by a thread as it lies in memory, or as it is read.

An event loop copies what a full socket does not take, and its TLS copies everything twice more on its way through
memory. A thread that may wait gives the kernel, or OpenSSL, stretches of the memory of its caller, and the lock of the
interpreter is free while those work: a third less of processor time for a plain body, a half less over TLS.

    bulk = Bulk(trust)
    answer = await bulk.request("PUT", "https://box.example.test/bucket/key", headers, view, tls=context)
    bulk.close()

What is read for it (``Content``) is read a stretch at a time into memory that is used again: a stretch stays in the
processor's cache from there to the socket, while a body that is read whole before it is sent goes out to memory and
comes back.

Over TLS a Littoral place may take wide records (``net.wide``), which cost a half less again; it is asked where ``tls``
offers them.

A connection that was kept may have been closed by its server a moment ago: such a request is sent again on a new one.
So ask for nothing that must not be done twice.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from littoral.lasting import done_in_thread
from littoral.net.failures import BadResponse, ConnectFailed, Disconnected, RequestFailed, Timeout
from littoral.net.message import Headers, RawHeaders
from littoral.net.wide import WideSocket, widened
from littoral.protocols.http1 import request_head

STRETCH: Final = 1024 * 1024  # bytes given to the kernel at once; each has the whole timeout
UNSENT: Final = 512 * 1024  # bytes that the kernel keeps: what it was given and has not sent looks like silence
READ: Final = 64 * 1024
MOST_ANSWER: Final = 1024 * 1024  # bytes of a response, with its head
KEPT: Final = 20.0  # seconds that a connection waits for its next request
MOST_THREADS: Final = 64
Line = socket.socket | WideSocket


@runtime_checkable
class Content(Protocol):
    """A body that can be read, from anywhere in it and more than once."""

    def __len__(self) -> int: ...

    def read_into(self, at: int, room: memoryview) -> None:
        """All of ``room``; on a thread. What it raises ends the request, and is raised by that."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Headers
    body: bytes


Answered = Callable[[Line], tuple[Answer, bool]]  # reads it; and whether the connection may be kept


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    port: int
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a connection, and for each stretch sent or read."""

    connect: float
    silence: float


class Bulk:
    """Use it within one event loop. ``close`` it."""

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        """``trust`` gives what https is believed by where a request has nothing else: the same each time."""
        self._trust = trust
        self._threads = ThreadPoolExecutor(MOST_THREADS, "bulk")
        self._idle: dict[Origin, list[tuple[Line, float]]] = {}
        self._lock = threading.Lock()

    async def request(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: memoryview | Content,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        answered: Answered | None = None,
    ) -> Answer:
        """``body`` is left alone as long as this goes on, also where the caller is cancelled; nobody reads it
        afterwards. ``tls`` is for https, ``trust`` without one. ``answered`` reads what comes (``receiving``). Raises
        ConnectFailed, Timeout, BadResponse (all RequestFailed)."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        trusting = (tls or self._trust()) if secure else None
        origin = Origin(parts.hostname or "", parts.port or (443 if secure else 80), trusting)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = Headers(headers.raw.copy())
        asked.set("host", parts.netloc)
        head = request_head(method, target, asked.raw, len(body))
        exchange = Exchange(self, origin, head, body, Patience(connect_timeout, read_timeout), answered or _answered)
        sending = asyncio.get_running_loop().run_in_executor(self._threads, exchange.run)
        return await done_in_thread(sending, exchange.cut)

    def close(self) -> None:
        """The connections that wait; those in use end with their requests."""
        self._threads.shutdown(wait=False)
        with self._lock:
            idle, self._idle = self._idle, {}
        for waiting in idle.values():
            for sock, _ in waiting:
                sock.close()

    def take(self, origin: Origin) -> Line | None:
        with self._lock:
            waiting = self._idle.get(origin, [])
            while waiting:
                sock, since = waiting.pop()
                if time.monotonic() - since < KEPT:
                    return sock
                sock.close()
        return None

    def keep(self, origin: Origin, sock: Line) -> None:
        if isinstance(sock, WideSocket) and sock.worn:
            sock.close()
            return
        with self._lock:
            self._idle.setdefault(origin, []).append((sock, time.monotonic()))


class Unread(Exception):
    """A content raised ``problem``: no failure of the connection, of whatever kind it is."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Exchange:
    """One request and its answer; ``run`` is the thread's."""

    def __init__(
        self,
        bulk: Bulk,
        origin: Origin,
        head: bytes,
        body: memoryview | Content,
        patience: Patience,
        answered: Answered,
    ) -> None:
        self._bulk, self._origin = bulk, origin
        self._head, self._body = head, body
        self._patience = patience
        self._answered = answered
        self._sock: Line | None = None
        self._unwanted = False
        self._lock = threading.Lock()

    def run(self) -> Answer:
        """Raises RequestFailed, and what reading the body does."""
        try:
            while (kept := self._bulk.take(self._origin)) is not None:
                with suppress(Disconnected):
                    return self._on(kept)
            return self._on(_connected(self._origin, self._patience))
        except Unread as unread:
            problem = unread.problem
        raise problem

    def cut(self) -> None:
        """Nobody wants the answer any more."""
        with self._lock:
            self._unwanted = True
            if self._sock is not None:
                with suppress(OSError):
                    _cut(self._sock)

    def _on(self, sock: Line) -> Answer:
        whole = False
        with self._lock:
            unwanted, self._sock = self._unwanted, sock
        try:
            if unwanted:
                raise RequestFailed("it is not wanted any more")
            sock.settimeout(self._patience.silence)
            try:
                self._send(sock)
            except TimeoutError:
                raise
            except OSError:
                answer, _ = self._answered(sock)  # who refuses a body may answer before its end, and close
            else:
                answer, whole = self._answered(sock)
            return answer
        except TimeoutError as problem:
            raise Timeout(f"nothing went on for {self._patience.silence:g} s") from problem
        except OSError as problem:
            raise Disconnected(f"the connection ended before a response: {problem}") from problem
        finally:
            with self._lock:
                self._sock = None
            if whole:
                self._bulk.keep(self._origin, sock)
            else:
                sock.close()

    def _send(self, sock: Line) -> None:
        if isinstance(sock, WideSocket) and (body := sock.begin_body(self._head, len(self._body))) is not None:
            for stretch in self._stretches():
                sock.send_frames(body, stretch)
            return
        sock.sendall(self._head)
        for stretch in self._stretches():
            left = stretch
            while left:
                left = left[sock.send(left) :]

    def _stretches(self) -> Iterator[memoryview]:
        """Each to be sent before the next is asked for."""
        body, size = self._body, len(self._body)
        for at in range(0, size, STRETCH):
            if isinstance(body, memoryview):
                yield body[at : at + STRETCH]
            else:
                room = _memory.room[: min(STRETCH, size - at)]
                try:
                    body.read_into(at, room)
                except Exception as problem:
                    raise Unread(problem) from problem
                yield room


class _Memory(threading.local):
    """A thread's."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(STRETCH))


_memory = _Memory()


def _cut(sock: Line) -> None:
    if isinstance(sock, socket.socket):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not an SSLSocket's own, after which it goes on without TLS
    else:
        sock.cut()


def _connected(origin: Origin, patience: Patience) -> Line:
    """Raises ConnectFailed, Timeout."""
    try:
        sock = socket.create_connection((origin.host, origin.port), patience.connect)
        try:
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            if origin.tls is None:
                return sock
            sock = origin.tls.wrap_socket(sock, server_hostname=origin.host)
            return widened(sock)
        except BaseException:
            sock.close()
            raise
    except TimeoutError as problem:
        raise Timeout(f"no connection to {origin.host}:{origin.port} within {patience.connect:g} s") from problem
    except OSError as problem:
        raise ConnectFailed(f"no connection to {origin.host}:{origin.port}: {problem}") from problem


def _answered(sock: Line) -> tuple[Answer, bool]:
    """And whether the connection may be kept. Raises OSError, BadResponse."""
    reading = Reading()
    while not reading.ended:
        reading.read(sock)
    return reading.answer, reading.keep


class Reading:
    """A response as it comes."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.headers: RawHeaders = []
        self.body = bytearray()
        self.status = 0
        self.ended = self.keep = False
        self._size = 0  # bytes, with its head

    @property
    def begun(self) -> bool:
        """Some of it has come."""
        return self._size > 0

    @property
    def answer(self) -> Answer:
        return Answer(self.status, Headers(self.headers), bytes(self.body))

    def read(self, sock: Line) -> None:
        """Some more of it. Raises OSError, BadResponse."""
        self.take(sock.recv(READ))

    def take(self, data: bytes) -> None:
        """What came; nothing at the end. Raises Disconnected, BadResponse."""
        if not data:
            if self._size:
                raise BadResponse("the connection ended in the middle of a response")
            raise Disconnected("the connection ended before a response")
        self._size += len(data)
        if self._size > MOST_ANSWER:
            raise BadResponse("the response is too large")
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Raises BadResponse."""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as problem:
            raise BadResponse(str(problem.__context__ or problem)) from problem
        except HttpParserError as problem:
            raise BadResponse(str(problem)) from problem

    def on_message_begin(self) -> None:
        if self.ended:
            raise BadResponse("a response that nobody asked for")
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        if self.status >= 200:  # else an interim one (RFC 9110 15.2)
            self.ended = True
            self.keep = self._parser.should_keep_alive()
