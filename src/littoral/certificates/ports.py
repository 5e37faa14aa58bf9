"""What Certificate Manager asks of those who show its certificates. The site hands it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Users(Protocol):
    """Distributions."""

    def of(self, arn: str) -> list[str]:
        """The ARNs of those that a certificate is for."""

    def changing(self) -> AbstractAsyncContextManager[Any]:
        """While it is held nobody begins to use a certificate."""

    async def renewed(self, save: Callable[[], Awaitable[None]]) -> None:
        """Call ``save``, which makes another certificate hold under its ARN, and see that it is shown, also where the
        place ends between the two."""
