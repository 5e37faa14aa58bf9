"""One request to the core for one invocation: HTTP on the Unix socket that the core shows its functions.

The core answers an invocation in one go; what ``post_work`` got waits here until ``get_work_result`` asks for it.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import uuid
from collections import OrderedDict
from typing import Any, NamedTuple
from urllib.parse import quote

from greengrass_common.env_vars import AUTH_TOKEN

PATH = "/2016-11-01/functions/"
MOST_WAITING = 1000  # results that nobody has asked for


class IPCException(Exception):
    """The core refused, or could not be reached."""


class WorkResult(NamedTuple):
    payload: bytes
    func_err: str


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["LITTORAL_LAMBDA_SOCKET"])


class IPCClient:
    """``endpoint`` and ``port`` were the core's; they are not used."""

    def __init__(self, endpoint: str = "localhost", port: int | None = None) -> None:
        self._results: OrderedDict[str, WorkResult] = OrderedDict()
        self._lock = threading.Lock()

    def post_work(
        self, function_arn: str, input_bytes: Any, client_context: Any, invocation_type: str = "RequestResponse"
    ) -> str:
        """The id of the invocation: done, or, with Event, durably kept. Raises IPCException."""
        headers = {"Authorization": AUTH_TOKEN or "", "X-Amz-InvocationType": invocation_type}
        if client_context:
            headers["X-Amz-Client-Context"] = _text(client_context)
        connection = _UnixConnection("localhost")
        try:
            connection.request("POST", PATH + quote(function_arn, safe=":"), _bytes(input_bytes), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, KeyError, http.client.HTTPException) as problem:
            raise IPCException(f"the core cannot be reached: {problem!r}") from problem
        finally:
            connection.close()
        if answer.status >= 300:
            raise IPCException(f"{answer.status}: {body.decode('utf-8', 'replace')}")
        invocation = str(uuid.uuid4())
        if invocation_type == "RequestResponse":
            self._keep(invocation, WorkResult(body, answer.getheader("X-Amz-Function-Error") or ""))
        return invocation

    def get_work_result(self, function_arn: str, invocation_id: str) -> WorkResult:
        """Once for each invocation. Raises IPCException."""
        with self._lock:
            found = self._results.pop(invocation_id, None)
        if found is None:
            raise IPCException(f"there is no result of {invocation_id} of {function_arn}")
        return found

    def _keep(self, invocation: str, result: WorkResult) -> None:
        with self._lock:
            self._results[invocation] = result
            while len(self._results) > MOST_WAITING:
                self._results.popitem(last=False)


def _bytes(payload: Any) -> bytes:
    """Of bytes, text, or a file."""
    if hasattr(payload, "read"):
        payload = payload.read()
    return payload.encode() if isinstance(payload, str) else bytes(payload)


def _text(context: Any) -> str:
    return context.decode() if isinstance(context, bytes) else str(context)
