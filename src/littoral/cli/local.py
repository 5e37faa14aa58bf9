"""Asking a place on this machine over its Unix socket: HTTP, of this user alone."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path

from littoral.cli.asking import Failed


def asked(
    path: Path, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The answer's body. Raises OSError, http.client.HTTPException where nobody answers, Failed for a refusal."""
    connection = _Local(path)
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Failed(_refusal(answer.status, found))
    return found


def _refusal(status: int, body: bytes) -> str:
    """What an answer says of itself, whoever made it."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{status}: {body[:300].decode('utf-8', 'replace').strip()}"


class _Local(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path.resolve(strict=True)))
