"""What is asked of a model that is served, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.models import frames

USUAL_ROWS: Final = 32  # of requests that run together
MOST_ROWS: Final = 1024  # of one request


class CannotServe(Exception):
    """``kind``: "input" (the caller's fault), "model" (its answer or its file), "busy" (later), "gone" (not loaded)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model that can be served: its file by its digest, and how its requests are gathered."""

    sha256: str
    size: int  # bytes
    read: Callable[[], Awaitable[bytes]] = field(compare=False)
    rows: int = 0  # that run together, where that was said; 0: as the model's lengths are named
    wait: float = 0.0  # seconds that a request waits for company

    @property
    def key(self) -> str:
        return f"{self.sha256}/{self.rows}/{self.wait}"


@dataclass(frozen=True, slots=True)
class Ask:
    """``form``: a content type of ``runtime.forms``, or "oip"; ``header``: the JSON of it, where binary follows."""

    form: str
    body: bytes
    accept: str = ""
    header: int | None = None
    about: Mapping[str, str] = field(default_factory=dict)  # model_name and model_version, for "oip"

    @property
    def head(self) -> dict[str, Any]:
        return {"form": self.form, "accept": self.accept, "header": self.header, "about": dict(self.about)}


@dataclass(frozen=True, slots=True)
class Answer:
    parts: Sequence[frames.Bytes]
    header: int | None = None  # how long the JSON is, where binary follows

    @property
    def body(self) -> bytes:
        return bytes(self.parts[0]) if len(self.parts) == 1 else b"".join(self.parts)
