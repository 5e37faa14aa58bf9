"""What the platform writes into a function's log around each execution: lines of text, or JSON records. Pure.

Most executions print nothing, and nobody asks for their tail: such a one is a ``Report``, whose lines are made when
they are written, many at once and on the thread that writes them.

AWS: "Configuring JSON and plain text log formats". A level filters JSON records only: START and REPORT are INFO, the
end of the runtime's work is DEBUG; whatever did not succeed is WARN.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from littoral.functions import architecture
from littoral.functions.outcome import (
    END,
    REPORT,
    START,
    Kind,
    billed_ms,
    end_line,
    report_line,
    start_line,
    timeout_message,
)
from littoral.functions.version import FunctionVersion, iso_time

LEVELS = {"DEBUG": 0, "INFO": 1, "WARN": 2}
RUNTIMES = 1  # version of our runtimes: another where a function may notice
_NAME = re.compile(r"(python|nodejs|java|dotnet|provided)\.?([0-9.]*[0-9](?:\.al2)?|al[0-9]+).*")
_WHOLE = f"{START}\n{END}\n{REPORT}"
_STATUS = {"ok": "success", "error": "error", "timeout": "timeout", "exit": "failure"}


class Report(NamedTuple):
    """One execution that has ended. Times are Unix seconds, all others seconds."""

    stream: str
    version: FunctionVersion
    request_id: str
    began: float  # 0: its START is written already
    ended: float
    kind: Kind
    payload: bytes  # the error object where it timed out or the instance ended
    duration: float
    memory_kib: int
    init: float | None  # the init phase, for an instance's first event


def tell(report: Report, add: Callable[[int, str, bytes], None]) -> None:
    """Give its lines to ``add``: when (ms), stream, text."""
    stream, version, request_id, began, ended_at, kind, _, duration, memory_kib, init = report
    first, last = int(began * 1000), int(ended_at * 1000)
    if first == last and kind == "ok" and init is None and not version.log_style.is_json:  # nearly all
        billed, kib = billed_ms(duration, None), -(-memory_kib // 1024)
        about = request_id, version.version, request_id, request_id, duration * 1000, billed, version.memory_size, kib
        add(last, stream, (_WHOLE % about).encode())
        return
    before = started(version, request_id, began) if began else []
    after = ended(report)
    if first == last:
        before, after = [], before + after
    if before:
        add(first, stream, "\n".join(before).encode())
    if after:
        add(last, stream, "\n".join(after).encode())


def opens(version: FunctionVersion, region: str, now: float, *, provisioned: bool) -> list[str]:
    """That an init phase begins (AWS: "Identifying Lambda runtime version changes"; ``platform.initStart``). No part of
    an invocation's tail, as there."""
    name = _NAME.sub(r"\1:\2", version.runtime)
    number = f"{name}.v{RUNTIMES}"
    arn = f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(number.encode()).hexdigest()}"
    if not version.log_style.is_json:
        return [f"INIT_START Runtime Version: {number}\tRuntime Version ARN: {arn}"]
    if _threshold(version) > LEVELS["INFO"]:
        return []
    record = {
        "initializationType": "provisioned-concurrency" if provisioned else "on-demand",
        "phase": "init",
        "runtimeVersion": number,
        "runtimeVersionArn": arn,
        "functionName": version.name,
        "functionVersion": version.version,
    }
    return [_record("platform.initStart", record, now)]


def foreign(version: FunctionVersion, now: float) -> list[str]:
    """What is to be said of a function for another processor, at a cold start."""
    words = architecture.difference(version.architectures)
    if words is None:
        return []
    if not version.log_style.is_json:
        return [f"[littoral] {words}"]
    return [json.dumps({"timestamp": iso_time(now), "level": "WARN", "message": words}, separators=(",", ":"))]


def started(version: FunctionVersion, request_id: str, now: float) -> list[str]:
    if not version.log_style.is_json:
        return [start_line(request_id, version.version)]
    if _threshold(version) > LEVELS["INFO"]:
        return []
    return [_record("platform.start", {"requestId": request_id, "version": version.version}, now)]


def ended(report: Report) -> list[str]:
    version, request_id = report.version, report.request_id
    if version.log_style.is_json:
        return _ended_json(report)
    lines: list[str] = []
    status = ""
    if report.kind == "timeout":
        status = "Status: timeout"
        lines = [timeout_message(iso_time(report.ended), request_id, report.duration)]
    elif report.kind == "exit":
        error = json.loads(report.payload)
        status = f"Status: error\tError Type: {error['errorType']}"
        lines = [" ".join(error["errorMessage"].splitlines()), error["errorType"]]
    last = report_line(
        request_id,
        duration=report.duration,
        billed=billed_ms(report.duration, report.init),
        memory_size=version.memory_size,
        memory_kib=report.memory_kib,
        init=report.init,
        status=status,
    )
    return [*lines, end_line(request_id), last]


def _ended_json(report: Report) -> list[str]:
    version = report.version
    failed = report.kind != "ok"
    threshold = _threshold(version)
    common: dict[str, Any] = {"requestId": report.request_id, "status": _STATUS[report.kind]}
    if report.kind in ("timeout", "exit"):
        common["errorType"] = json.loads(report.payload)["errorType"]
    milliseconds = round(report.duration * 1000, 3)
    metrics: dict[str, Any] = {
        "durationMs": milliseconds,
        "billedDurationMs": billed_ms(report.duration, report.init),
        "memorySizeMB": version.memory_size,
        "maxMemoryUsedMB": -(-report.memory_kib // 1024),
    }
    if report.init is not None:
        metrics["initDurationMs"] = round(report.init * 1000, 3)
    lines: list[str] = []
    if threshold <= LEVELS["WARN" if failed else "DEBUG"]:
        lines.append(_record("platform.runtimeDone", {**common, "metrics": {"durationMs": milliseconds}}, report.ended))
    if threshold <= LEVELS["WARN" if failed else "INFO"]:
        lines.append(_record("platform.report", {**common, "metrics": metrics}, report.ended))
    return lines


def _threshold(version: FunctionVersion) -> int:
    return LEVELS[version.log_style.system_level or "INFO"]


def _record(kind: str, record: dict[str, Any], now: float) -> str:
    return json.dumps({"time": iso_time(now), "type": kind, "record": record}, separators=(",", ":"))
