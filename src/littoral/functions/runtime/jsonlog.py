"""Lambda's JSON form of what a Python function logs. Loaded only by functions that ask for it; standard library only.

AWS: "Using structured JSON logs with Python". What is printed stays as it is; ``logging`` gives objects.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from typing import Any

# Members of every LogRecord: others came by ``extra`` and are shown.
_KNOWN = frozenset((*vars(logging.makeLogRecord({})), "aws_request_id", "message", "asctime", "taskName"))
LEVELS = {
    "TRACE": logging.NOTSET,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}


class JsonForm(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        shown: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            shown["stackTrace"] = traceback.format_list(traceback.extract_tb(trace))
            shown["errorType"] = kind.__name__
            shown["errorMessage"] = str(error)
            shown["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        shown |= {name: value for name, value in vars(record).items() if name not in _KNOWN}
        shown["requestId"] = getattr(record, "aws_request_id", "")
        return json.dumps(shown, ensure_ascii=False, default=repr) + "\n"


def fault_line(fault: dict[str, Any]) -> str:
    """An error that the handler let out."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"timestamp": stamp, "level": "ERROR", **fault}) + "\n"
