"""The vault: how a capability seals under a key of KMS without knowing the ``kms`` capability.

The site hands a ``Vault`` to objects (data keys), secrets (values) and boxes (what opens them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Vault(Protocol):
    """A place's KMS. Its methods raise ServiceError as KMS does; who has one says it in the words of its own API."""

    def usable(self, identifier: str) -> str:
        """The ARN of a key by its id, ARN or alias."""
        ...

    def wrap(self, identifier: str, plaintext: bytes, context: Mapping[str, str]) -> bytes: ...

    def unwrap(self, blob: bytes, context: Mapping[str, str]) -> bytes: ...
