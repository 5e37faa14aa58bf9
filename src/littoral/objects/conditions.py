"""Conditional requests and ranges, decided. Pure. (RFC 9110 sections 13 and 14; "Conditional requests" of S3)"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from littoral.objects.errors import error, precondition_failed

DIGITS = 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class ReadConditions:
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None

    def check(self, etag: str, modified: float, *, reading: bool = True, prefix: str = "") -> None:
        """``etag`` without quotes. Raises PreconditionFailed, or NotModified where ``reading``.

        An ETag condition that holds overrules the date beside it (GetObject's documentation, after RFC 9110).
        """
        if self.if_match is not None:
            if not matches(self.if_match, etag):
                raise precondition_failed(f"{prefix}If-Match")
        elif self.if_unmodified_since is not None and int(modified) > self.if_unmodified_since.timestamp():
            raise precondition_failed(f"{prefix}If-Unmodified-Since")
        if self.if_none_match is not None:
            if matches(self.if_none_match, etag):
                raise _unchanged(reading, etag, f"{prefix}If-None-Match")
        elif self.if_modified_since is not None and int(modified) <= self.if_modified_since.timestamp():
            raise _unchanged(reading, etag, f"{prefix}If-Modified-Since")


def check_write_conditions(if_match: str | None, if_none_match: str | None) -> None:
    """The forms that S3 has for writes. Raises NotImplemented, as S3 does."""
    if if_none_match is not None and if_none_match != "*":
        message = "A header you provided implies functionality that is not implemented"
        raise error("NotImplemented", message, Header="If-None-Match")
    if if_match is not None and if_none_match is not None:
        raise error("InvalidRequest", "If-Match and If-None-Match cannot be used together")


def matches(wanted: str, etag: str) -> bool:
    """Whether a list of entity tags, with or without quotes, names this one."""
    names = [name.strip().removeprefix("W/").strip('"') for name in wanted.split(",")]
    return "*" in names or etag in names


def _unchanged(reading: bool, etag: str, condition: str) -> Exception:
    if not reading:
        return precondition_failed(condition)
    return error("NotModified", "Not Modified", headers={"ETag": f'"{etag}"'})


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an object. ``partial`` when only part was asked for: the answer is a 206."""

    start: int
    length: int
    partial: bool = False

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def span_of(asked: str | None, size: int) -> Span:
    """A Range header that is not one range of bytes is ignored, as S3 does. Raises InvalidRange."""
    match = _RANGE.fullmatch(asked.strip()) if asked is not None else None
    if match is None or match.group() == "bytes=-":
        return Span(0, size)
    first, last = match.groups()
    if not first:
        wanted = min(_number(last), size)
        if wanted == 0:
            raise _unsatisfiable(match.group(), size)
        return Span(size - wanted, wanted, partial=True)
    start, end = _number(first), min(_number(last), size - 1) if last else size - 1
    if last and _number(last) < start:
        return Span(0, size)
    if start >= size:
        raise _unsatisfiable(match.group(), size)
    return Span(start, end - start + 1, partial=True)


def copy_span(asked: str | None, size: int) -> Span:
    """CopySourceRange, which must be of the form bytes=first-last. Raises InvalidArgument."""
    if asked is None:
        return Span(0, size)
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    if match is None or _number(match[1]) > _number(match[2]):
        message = "The x-amz-copy-source-range value must be of the form bytes=first-last"
        raise error("InvalidArgument", message, ArgumentName="x-amz-copy-source-range", ArgumentValue=asked[:200])
    first, last = _number(match[1]), _number(match[2])
    if last >= size:  # the API reference says InvalidRange; S3 answers this (versitygw #610, s3fs #321)
        message = f"Range specified is not valid for source object of size: {size}"
        raise error("InvalidArgument", message, ArgumentName="x-amz-copy-source-range", ArgumentValue=asked)
    return Span(first, last - first + 1, partial=True)


def _number(digits: str) -> int:
    """Beyond all objects where it is longer than any needs to be: Python reads no number of thousands of digits."""
    return int(digits[-DIGITS:]) if not digits[:-DIGITS].strip("0") else 10**DIGITS


def _unsatisfiable(asked: str, size: int) -> Exception:
    return error(
        "InvalidRange",
        "The requested range is not satisfiable",
        headers={"Content-Range": f"bytes */{size}"},
        RangeRequested=asked,
        ActualObjectSize=size,
    )
