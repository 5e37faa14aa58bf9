"""What came of one execution, and the words Lambda uses for it. Pure."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "error", "timeout", "exit"]

START = "START RequestId: %s Version: %s"
END = "END RequestId: %s"
REPORT = "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t"


@dataclass(slots=True)
class Outcome:
    """``payload`` is the result or the error object, JSON. ``failure`` is the platform's word for an instance that
    did not survive ("exit status 1", "signal: killed"), empty otherwise."""

    kind: Kind
    payload: bytes
    duration: float  # seconds in the handler
    memory_kib: int = 0
    failure: str = ""
    usable: bool = True  # the instance may take another event
    said: float | None = None  # seconds in the handler by the runtime's own word


def exit_words(status: int) -> str:
    """How Lambda names a wait status; empty for a clean exit, which it calls "without providing a reason"."""
    if status == -1:
        return "signal: killed"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"signal: {(signal.strsignal(number) or str(number)).lower()}"
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code else ""


def exit_message(words: str) -> str:
    return f"Runtime exited with error: {words}" if words else "Runtime exited without providing a reason"


def error_payload(kind: str, message: str) -> bytes:
    """The error object of a failure that the platform names."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def platform_payload(kind: str, request_id: str, message: str) -> bytes:
    """The same where AWS says in the message which request it was."""
    return error_payload(kind, f"RequestId: {request_id} Error: {message}")


def exit_payload(request_id: str, words: str) -> bytes:
    return platform_payload("Runtime.ExitError", request_id, exit_message(words))


def timeout_message(moment: str, request_id: str, timeout: float) -> str:
    return f"{moment} {request_id} Task timed out after {timeout:.2f} seconds"


def timeout_payload(moment: str, request_id: str, timeout: float) -> bytes:
    return error_payload("Sandbox.Timedout", timeout_message(moment, request_id, timeout))


def start_line(request_id: str, version: str) -> str:
    return START % (request_id, version)


def end_line(request_id: str) -> str:
    return END % request_id


def billed_ms(duration: float, init: float | None) -> int:
    """What an execution is billed: seconds in the handler and, as AWS does since 2025, in the init phase."""
    return math.ceil(duration * 1000 + (init or 0.0) * 1000) or 1


def report_line(
    request_id: str,
    *,
    duration: float,
    billed: int,
    memory_size: int,
    memory_kib: int,
    init: float | None,
    status: str = "",
) -> str:
    """Durations in seconds, what is billed in milliseconds; ``init`` only for an instance's first event."""
    line = REPORT % (request_id, duration * 1000, billed, memory_size, -(-memory_kib // 1024))
    if init is not None:
        line += f"Init Duration: {init * 1000:.2f} ms\t"
    return line + status
