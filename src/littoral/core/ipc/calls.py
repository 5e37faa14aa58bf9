"""One call of a component: who asks, for what, where answers go; and the errors of Greengrass's IPC model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]


class Fault(Exception):
    """``code`` is a shape of the model: UnauthorizedError, InvalidArgumentsError, ResourceNotFoundError …"""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.document: Document = {"message": message, **members}


def invalid(message: str) -> Fault:
    return Fault("InvalidArgumentsError", message)


def not_found(kind: str, name: str) -> Fault:
    return Fault("ResourceNotFoundError", f"there is no {kind} {name}", resourceType=kind, resourceName=name)


@dataclass(slots=True)
class Call:
    """``send`` gives the caller an event (shape, document) after the response. What a handler adds to ``ended`` (before
    it first waits) makes the call a subscription; it is run when the caller or the connection closed the stream."""

    component: str
    operation: str
    document: Document
    send: Callable[[str, Document], None]
    ended: list[Callable[[], None]] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A member that must be there. Raises Fault."""
        found = self.document.get(name)
        if not isinstance(found, str) or not found:
            raise invalid(f"{name} must be a text")
        return found

    def optional_text(self, name: str) -> str | None:
        """None where it is not given, or empty: AWS's guide names the classic shadow by an empty shadowName."""
        return self.text(name) if self.document.get(name) not in (None, "") else None

    def path(self, name: str) -> list[str]:
        """A key path, empty where it is not given. Raises Fault."""
        found = self.document.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise invalid(f"{name} must be a list of texts")
        return list(found)

    def blob(self, name: str, document: Document | None = None) -> bytes:
        """Base64, empty where it is not given. Raises Fault."""
        found = (self.document if document is None else document).get(name)
        if found is None:
            return b""
        try:
            return base64.b64decode(found, validate=True)
        except (TypeError, ValueError, binascii.Error) as problem:
            raise invalid(f"{name} must be base64") from problem


Handler = Callable[[Call], Document | Awaitable[Document]]
