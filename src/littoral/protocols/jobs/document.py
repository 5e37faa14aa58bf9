"""A job's document on its way to a device: placeholders for objects become presigned URLs.

``${aws:iot:s3-presigned-url:URL}`` (and ``-v2``) with an S3 URL in either style: ``https://s3.REGION.amazonaws.com/B/K``,
``https://B.s3.REGION.amazonaws.com/K``. Any other host is taken in path style, so that a place's own address may be
written. Source: https://docs.aws.amazon.com/iot/latest/developerguide/create-manage-jobs.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_DOCUMENT: Final = 32 * 1024
_PLACEHOLDER: Final = re.compile(r"\$\{aws:iot:s3-presigned-url(?:-v2)?:([^}]*)\}")
_PARAMETER: Final = re.compile(r"\$\{aws:iot:parameter:([^}]*)\}")
_VIRTUAL: Final = re.compile(
    r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?"
)


class BadPlaceholder(ValueError):
    """It names no object."""


def objects_in(document: str) -> list[tuple[str, str]]:
    """Bucket and key of every placeholder. Raises BadPlaceholder."""
    return [bucket_and_key(match[1]) for match in _PLACEHOLDER.finditer(document)]


def substitute(document: str, presign: Callable[[str, str], str]) -> str:
    """``presign(bucket, key)`` gives the URL."""
    return _PLACEHOLDER.sub(lambda match: presign(*bucket_and_key(match[1])), document)


def fill(document: str, parameters: Mapping[str, str]) -> str:
    """With ``${aws:iot:parameter:NAME}`` filled in, within the document's JSON; what is not given is empty."""
    return _PARAMETER.sub(lambda match: json.dumps(parameters.get(match[1], ""))[1:-1], document)


def bucket_and_key(url: str) -> tuple[str, str]:
    """Raises BadPlaceholder."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as problem:
        raise BadPlaceholder(f"{url!r} is not a URL: {problem}") from None
    path = unquote(parts.path).lstrip("/")
    virtual = _VIRTUAL.fullmatch(host)
    bucket, key = (virtual["bucket"], path) if virtual else (path.partition("/")[0], path.partition("/")[2])
    if parts.scheme not in ("http", "https") or not host or not bucket or not key:
        raise BadPlaceholder(f"{url!r} names no object of a bucket")
    return bucket, key
