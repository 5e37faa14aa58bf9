"""A request taken apart, as the readers take it."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.net.message import Body, BytesBody

_NOBODY = BytesBody()


@dataclass(slots=True)
class Parts:
    """``fields`` are the headers; ``data`` is all of the body where the plan holds it."""

    fields: dict[bytes, bytes]
    query: list[tuple[str, str]]
    labels: dict[str, str]  # of the path
    form: dict[str, str]  # of the query protocol
    data: bytes = b""
    body: Body = _NOBODY
