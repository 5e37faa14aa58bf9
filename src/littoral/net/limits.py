"""What a listener lets one client, or all of them, take. One table, in bytes, counts and seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    max_target_bytes: int = 8192  # of the request target: 414
    max_header_bytes: int = 32 * 1024  # of one request head (and of trailers): 431
    max_headers: int = 100  # header lines, cookie crumbs included: 431
    header_timeout: float = 15.0  # first byte of a head to its end: 408 (slowloris)
    keep_alive_timeout: float = 75.0  # keep-alive connection with nothing asked
    body_timeout: float = 30.0  # between two reads of a body that the handler waits for
    send_timeout: float = 60.0  # a response of which the client takes nothing
    linger: float = 5.0  # how long what a refused client still sends is thrown away before closing
    body_buffer: int = 256 * 1024  # received and not yet read by the handler; beyond it reading pauses
    discard: int = 64 * 1024  # a body nobody read is received to its end up to this, to keep the connection
    write_buffer: int = 256 * 1024  # response bytes in memory before the handler's iterator waits
    max_connections: int = 10_000  # at once; further ones get 503
