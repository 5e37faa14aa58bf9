"""Scalars as text: in headers, query, path, XML and forms. Times and bytes also as JSON has them."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from littoral.aws.wire.unreadable import Unreadable

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_EPOCH = re.compile(r"-?\d+(\.\d+)?([eE]\+?\d+)?")
BITS = {"integer": 31, "long": 63}
_REST = [f"{second:02}." for second in range(60)]
_MILLISECONDS = [f"{each:03}Z" for each in range(1000)]
EXACT = 2**33  # seconds of which a float knows each microsecond

TextReader = Callable[[str], Any]
TextWriter = Callable[[Any], str]


def text_reader(shape: Shape) -> TextReader:
    kind = shape.type_name
    if kind in BITS:
        return _integer_reader(kind)
    return _READERS.get(kind, _same)


def _same(text: str) -> str:
    return text


def _integer_reader(kind: str) -> TextReader:
    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise Unreadable(f"is not a number: {text[:100]!r}")
        return in_range(kind, int(text))

    return read


def in_range(kind: str, value: int) -> int:
    limit = 1 << BITS[kind]
    if not -limit <= value < limit:
        raise Unreadable(f"is not within the range of its type, {kind}")
    return value


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Unreadable(f"is not a number: {text[:100]!r}") from None


def _flag(text: str) -> bool:
    lower = text.lower()
    if lower not in {"true", "false"}:
        raise Unreadable(f"is neither true nor false: {text[:100]!r}")
    return lower == "true"


def from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("is not valid base64") from None


def moment_of(value: Any) -> datetime.datetime:
    """Epoch seconds, ISO 8601 or an HTTP date, whichever it is: clients differ."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.datetime.fromtimestamp(value, datetime.UTC)
        text = str(value).strip()
        if _EPOCH.fullmatch(text):
            return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
        if text[:1].isdigit():
            found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        else:
            found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise Unreadable(f"is not a time: {str(value)[:60]!r}") from None


_READERS: dict[str, TextReader] = {
    "float": _real,
    "double": _real,
    "boolean": _flag,
    "timestamp": moment_of,
    "blob": from_base64,
}


# ------------------------------------------------------------------------------------------------- writing


def text_writer(shape: Shape, time_format: str = "iso8601") -> TextWriter:
    """``time_format`` is that of the place where the text goes, unless the shape has its own."""
    kind = shape.type_name
    if kind == "timestamp":
        format_ = shape.serialization.get("timestampFormat", time_format)
        if format_ == "iso8601":
            return _iso_text
        return lambda value: time_text(as_moment(value), format_)
    return _WRITERS.get(kind, str)


def _flag_text(value: Any) -> str:
    return "true" if value else "false"


def _real_text(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_WRITERS: dict[str, TextWriter] = {
    "boolean": _flag_text,
    "float": _real_text,
    "double": _real_text,
    "blob": to_base64,
}


def as_moment(value: Any) -> datetime.datetime:
    """Results may hold datetimes or Unix seconds."""
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return datetime.datetime.fromtimestamp(value, datetime.UTC)


def time_text(moment: datetime.datetime, format_: str) -> str:
    if moment.tzinfo is not datetime.UTC:
        moment = moment.astimezone(datetime.UTC)
    if format_ == "rfc822":
        return f"{_day(moment.date())} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    if format_ == "unixTimestamp":
        return str(int(moment.timestamp()))
    return f"{_minute(moment.date(), moment.hour, moment.minute)}{moment.second:02}.{moment.microsecond // 1000:03}Z"


@lru_cache(4096)
def _day(date: datetime.date) -> str:
    return format_datetime(datetime.datetime.combine(date, datetime.time(), datetime.UTC), usegmt=True)[:16]


def _iso_text(value: Any) -> str:
    """A page of a listing has a thousand times: a datetime for each would be a third of what it takes."""
    if type(value) is not float or not -EXACT < value < EXACT:
        return time_text(as_moment(value), "iso8601")
    minute, rest = divmod(round(value * 1e6) // 1000, 60_000)
    return _since_1970(minute) + _REST[rest // 1000] + _MILLISECONDS[rest % 1000]


@lru_cache(4096)
def _since_1970(minutes: int) -> str:
    moment = datetime.datetime.fromtimestamp(minutes * 60, datetime.UTC)
    return _minute(moment.date(), moment.hour, moment.minute)


@lru_cache(4096)
def _minute(date: datetime.date, hour: int, minute: int) -> str:
    return f"{date.isoformat()}T{hour:02}:{minute:02}:"
