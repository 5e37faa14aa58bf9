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
    body_timeout: float = 30.0  # how far behind ``body_rate`` a body may fall that the handler waits for
    body_rate: float = 240.0  # bytes a second that a client sends at least (slow body)
    send_timeout: float = 60.0  # how far behind ``send_rate`` a client may fall in taking what is sent
    send_rate: float = 240.0  # bytes a second that a client takes at least (slow read)
    linger: float = 5.0  # how long what a refused client still sends is thrown away before closing
    body_buffer: int = 256 * 1024  # received and not yet read by the handler; beyond it reading pauses
    discard: int = 64 * 1024  # a body nobody read is received to its end up to this, to keep the connection
    write_buffer: int = 256 * 1024  # response bytes in memory before the handler's iterator waits
    max_connections: int = 10_000  # at once; beyond it the oldest idle ones are closed, else new ones get 503
    backlog: int = 4096  # connections that the kernel completes before they are accepted (at most net.core.somaxconn)
