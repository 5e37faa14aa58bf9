"""Pages and targets, as both APIs have them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from littoral.aws.service import modelled
from littoral.schedules.outbox import Targets

T = TypeVar("T")


validation = modelled("ValidationException")


def page(items: Sequence[T], key: Callable[[T], str], token: str | None, limit: int) -> tuple[list[T], dict[str, str]]:
    """Items after the token, at most ``limit``, and the member NextToken where there are more."""
    try:
        after = base64.b64decode(token.encode(), b"-_", validate=True).decode() if token else ""
    except (binascii.Error, ValueError):
        raise validation("The NextToken is invalid.") from None
    rest = [item for item in items if key(item) > after]
    shown = rest[:limit]
    if len(rest) <= limit:
        return shown, {}
    return shown, {"NextToken": base64.urlsafe_b64encode(key(shown[-1]).encode()).decode()}


def check_arn(targets: Targets, arn: str) -> None:
    """Raises ValidationException for what this place cannot invoke."""
    if not targets.accepts(arn):
        raise validation(f"The target {arn[:200]} is not served by this place: use the ARN of a function or a stream.")


def check_honoured(target: dict[str, Any], honoured: tuple[str, ...]) -> None:
    """Raises ValidationException for a member that would change what happens and is not served."""
    for member, value in target.items():
        if member not in honoured and value not in (None, "", {}, []):
            raise validation(f"The member {member} of a target is not served by this place.")
