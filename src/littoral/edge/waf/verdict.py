"""What a web ACL says of a request."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of an evaluation. ``reply`` None lets the request pass."""

    action: str  # ALLOW, BLOCK, CAPTCHA, CHALLENGE
    mark: Mark
    reply: Reply | None = None
