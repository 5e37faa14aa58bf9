"""What a web ACL says of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from littoral.edge.waf.view import View


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client gets instead of the content."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Mark:
    """A rule, as samples, metrics and logs name it."""

    rule: str  # its name, or Default_Action
    metric: str
    sampled: bool
    kind: str = "REGULAR"  # REGULAR, RATE_BASED, GROUP, MANAGED_RULE_GROUP
    action: str = "COUNT"  # what it did, or would have done
    inner: str = ""  # the rule within a group
    rate: Callable[[View], dict[str, Any]] | None = None  # of a rate-based rule: what a log says of it and the request


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of an evaluation. ``reply`` None lets the request pass."""

    action: str  # ALLOW, BLOCK, CAPTCHA, CHALLENGE
    mark: Mark
    reply: Reply | None = None
