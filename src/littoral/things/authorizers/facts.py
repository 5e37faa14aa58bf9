"""What the account keeps of an authorizer. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Authorizer:
    name: str
    function: str  # its ARN
    status: str  # "ACTIVE" or "INACTIVE"
    created: float
    modified: float
    signed: bool = True  # tokens are; it never changes
    token_key: str | None = None  # the name under which a client shows its token
    keys: dict[str, str] = field(default_factory=dict)  # public keys, PEM, by name
    cached: bool = False  # an answer holds for further requests of an HTTP connection

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Authorizer:
        return cls(**found)
