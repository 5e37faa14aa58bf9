"""An S3 endpoint that knows no CRC64NVME, as those of before 2025: a place behind a proxy that refuses it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSED = b"<Error><Code>InvalidArgument</Code><Message>Invalid checksum algorithm</Message></Error>"


@dataclass
class Refusing:
    """``refused`` counts the requests that it did not understand; ``digests`` are of parts that it let through."""

    port: int = 0
    refused: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)


@contextmanager
def refusing(target: int) -> Iterator[Refusing]:
    """In front of the port ``target``."""
    seen = Refusing()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, headers, answer = 400, [("content-type", "application/xml")], REFUSED
            if "CRC64NVME" in str(self.headers).upper():
                seen.refused.append(self.command)
            else:
                if "partNumber" in self.path:
                    seen.digests.append(self.headers.get("Content-MD5", ""))
                upstream = http.client.HTTPConnection("127.0.0.1", target, timeout=30)
                upstream.request(self.command, self.path, body, dict(self.headers))
                response = upstream.getresponse()
                status, headers, answer = response.status, response.getheaders(), response.read()
                upstream.close()
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            """Not on the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
