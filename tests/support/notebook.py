"""A file that functions add lines to over loopback TCP, for they see no folder of the test: one line, one byte back
when it is written."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# For the source of a handler: ``note(line)`` returns once the line is in the file.
NOTE = """
import os, socket
def note(line):
    with socket.create_connection(("127.0.0.1", int(os.environ["OUT"]))) as notebook:
        notebook.sendall(line.encode() + b"\\n")
        assert notebook.recv(1)
"""


@contextmanager
def notebook(file: Path) -> Iterator[int]:
    """The port."""
    turn = threading.Lock()

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline()
            with turn, file.open("ab") as out:
                out.write(line)
            self.wfile.write(b"+")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Line) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def notes(file: Path, at: str) -> list[Any]:
    """Of lines that are JSON, those with that ``at``."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [each for each in map(json.loads, lines) if each["at"] == at]
