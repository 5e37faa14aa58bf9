"""What may be an event: JSON, of a size that Lambda takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import ServiceError

MAX_SYNC = 6 * 1024 * 1024  # bytes of a synchronous event
MAX_RESPONSE = MAX_SYNC + 100  # bytes of a response: Lambda allows 6 MB and 100 bytes
MAX_EVENT = 1024 * 1024  # bytes of an asynchronous one: AWS allows 1 MB since 2025
MAX_CONTEXT = 3583  # characters of a client context in base64
ON_THE_LOOP = 128 * 1024  # larger events are checked in a thread


def check_small(payload: bytes) -> bool:
    """Whether this is an event that needs no further look: the quick way of ``check_payload``."""
    if not 0 < len(payload) <= ON_THE_LOOP:
        return False
    try:
        text = payload.decode()
        return _decoder.scan_once(text, 0)[1] == len(text)  # type: ignore[attr-defined, no-any-return]
    except (ValueError, StopIteration, RecursionError):
        return False


async def check_payload(payload: bytes, limit: int, kind: str) -> bytes:
    """The event, ``{}`` for none. Raises RequestTooLargeException, InvalidRequestContentException."""
    if len(payload) > limit:
        raise too_large(kind, limit, len(payload))
    if not payload:
        return b"{}"
    if len(payload) > ON_THE_LOOP:
        await asyncio.to_thread(_parse, payload)
    else:
        _parse(payload)
    return payload


def context_of(client_context: Mapping[str, Any]) -> bytes:
    """A client context as JSON, empty for none. Raises InvalidRequestContentException."""
    encoded = json.dumps(dict(client_context)).encode() if client_context else b""
    check_context((len(encoded) + 2) // 3 * 4)
    return encoded


def check_context(size: int) -> None:
    """``size`` of it in base64. Raises InvalidRequestContentException."""
    if size > MAX_CONTEXT:
        message = f"Client context must be at most {MAX_CONTEXT} bytes when base64-encoded."
        raise ServiceError("InvalidRequestContentException", message, status=400, fields={"Type": "User"})


def too_large(kind: str, limit: int, size: int | None) -> ServiceError:
    if kind == "RequestResponse":
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        return ServiceError("RequestTooLargeException", message, status=413, fields={"Type": "User"})
    has = f"{size} byte payload is" if size is not None else "The payload is"
    message = f"{has} too large for the {kind} invocation type (limit {limit} bytes)"
    return ServiceError("RequestTooLargeException", message, status=413, fields={"Type": "User"})


def _parse(payload: bytes) -> None:
    try:
        _decoder.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ServiceError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
            status=400,
            fields={"Type": "User"},
        ) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"Unexpected token {constant}")


_decoder = json.JSONDecoder(parse_constant=_refuse)
