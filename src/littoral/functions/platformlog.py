"""What the platform writes into a function's log around each execution: lines of text, or JSON records. Pure.

AWS: "Configuring JSON and plain text log formats". A level filters JSON records only: START and REPORT are INFO, the
end of the runtime's work is DEBUG; whatever did not succeed is WARN.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from littoral.functions import architecture
from littoral.functions.outcome import (
    Outcome,
    end_line,
    report_line,
    start_line,
    timeout_message,
)
from littoral.functions.version import FunctionVersion, iso_time

LEVELS = {"DEBUG": 0, "INFO": 1, "WARN": 2}
_STATUS = {"ok": "success", "error": "error", "timeout": "timeout", "exit": "failure"}

Clock = Callable[[], float]


def foreign(version: FunctionVersion, clock: Clock) -> list[str]:
    """What is to be said of a function for another processor, at a cold start."""
    words = architecture.difference(version.architectures)
    if words is None:
        return []
    if not version.log_style.is_json:
        return [f"[littoral] {words}"]
    return [json.dumps({"timestamp": iso_time(clock()), "level": "WARN", "message": words}, separators=(",", ":"))]


def started(version: FunctionVersion, request_id: str, clock: Clock) -> list[str]:
    if not version.log_style.is_json:
        return [start_line(request_id, version.version)]
    if _threshold(version) > LEVELS["INFO"]:
        return []
    return [_record("platform.start", {"requestId": request_id, "version": version.version}, clock)]


def ended(
    version: FunctionVersion, request_id: str, outcome: Outcome, init: float | None, billed: int, clock: Clock
) -> list[str]:
    """``init``: seconds of the init phase, for an instance's first event; ``billed``: milliseconds, see
    ``outcome.billed_ms``."""
    if version.log_style.is_json:
        return _ended_json(version, request_id, outcome, init, billed, clock)
    lines: list[str] = []
    status = ""
    if outcome.kind == "timeout":
        status = "Status: timeout"
        lines = [timeout_message(iso_time(clock()), request_id, outcome.duration)]
    elif outcome.kind == "exit":
        error = json.loads(outcome.payload)
        status = f"Status: error\tError Type: {error['errorType']}"
        lines = [error["errorMessage"], error["errorType"]]
    report = report_line(
        request_id,
        duration=outcome.duration,
        billed=billed,
        memory_size=version.memory_size,
        memory_kib=outcome.memory_kib,
        init=init,
        status=status,
    )
    return [*lines, end_line(request_id), report]


def _ended_json(
    version: FunctionVersion, request_id: str, outcome: Outcome, init: float | None, billed: int, clock: Clock
) -> list[str]:
    failed = outcome.kind != "ok"
    threshold = _threshold(version)
    common: dict[str, Any] = {"requestId": request_id, "status": _STATUS[outcome.kind]}
    if outcome.kind in ("timeout", "exit"):
        common["errorType"] = json.loads(outcome.payload)["errorType"]
    milliseconds = round(outcome.duration * 1000, 3)
    metrics: dict[str, Any] = {
        "durationMs": milliseconds,
        "billedDurationMs": billed,
        "memorySizeMB": version.memory_size,
        "maxMemoryUsedMB": -(-outcome.memory_kib // 1024),
    }
    if init is not None:
        metrics["initDurationMs"] = round(init * 1000, 3)
    lines: list[str] = []
    if threshold <= LEVELS["WARN" if failed else "DEBUG"]:
        lines.append(_record("platform.runtimeDone", {**common, "metrics": {"durationMs": milliseconds}}, clock))
    if threshold <= LEVELS["WARN" if failed else "INFO"]:
        lines.append(_record("platform.report", {**common, "metrics": metrics}, clock))
    return lines


def _threshold(version: FunctionVersion) -> int:
    return LEVELS[version.log_style.system_level or "INFO"]


def _record(kind: str, record: dict[str, Any], clock: Clock) -> str:
    return json.dumps({"time": iso_time(clock()), "type": kind, "record": record}, separators=(",", ":"))
