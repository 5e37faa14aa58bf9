"""The log of a place: one line a record on standard error, as text or JSON, without secrets.

Owns: form and redaction. What is redacted is what AWS requests carry: signatures, session tokens, Authorization
lines and private keys. Configured secrets never reach a record in the first place (``Settings`` hides them).
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys

_SECRET = re.compile(
    r"(?is)(authorization['\"]?\s*[:=,]\s*['\"]?)[^\r\n'\"]+"
    r"|(x-amz-(?:signature|security-token|credential)=)[^&\s'\"]+"
    r"|(aws_secret_access_key\s*[:=]\s*)\S+"
    r"|(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?-----END [A-Z ]*PRIVATE KEY-----"
)


def redacted(text: str) -> str:
    return _SECRET.sub(lambda found: next(part for part in found.groups() if part) + "…", text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class JsonForm(logging.Formatter):
    """One object a line, redacted."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str, form: str) -> None:
    """Send the log of this process to standard error. ``level`` and ``form`` are settings of those names."""
    handler = logging.StreamHandler(sys.stderr)
    text = _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    text.default_msec_format = "%s.%03d"
    handler.setFormatter(JsonForm() if form == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        for chatty in ("botocore", "urllib3", "asyncio"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
