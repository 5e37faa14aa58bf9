"""What the registry holds, as frozen facts. Times are Unix seconds."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from littoral.things.versions import Version, Versioned

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    id: str
    type_name: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    version: int = 1

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Thing:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class ThingType:
    name: str
    id: str
    description: str = ""
    searchable: tuple[str, ...] = ()
    created: float = 0.0
    deprecated: float | None = None  # when

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> ThingType:
        return cls(**{**found, "searchable": tuple(found["searchable"])})


@dataclass(frozen=True, slots=True)
class ThingGroup:
    """Static, or dynamic where it has a query: then the index says who its members are."""

    name: str
    id: str
    created: float
    description: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    version: int = 1
    query: str | None = None

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> ThingGroup:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class BillingGroup:
    """A label on things; nothing is billed here."""

    name: str
    id: str
    created: float
    description: str = ""
    version: int = 1

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> BillingGroup:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Public parts only: a private key is shown once, when it is made, and kept nowhere."""

    id: str  # hex SHA-256 of the DER form
    pem: str
    status: str  # "ACTIVE", "INACTIVE", "REVOKED" or "PENDING_ACTIVATION"
    created: float
    modified: float
    version: int = 1
    ca_id: str | None = None  # None: registered without its authority

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Certificate:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """An authority of somebody else's, whose devices' certificates are taken."""

    id: str  # hex SHA-256 of the DER form
    pem: str
    status: str  # "ACTIVE" or "INACTIVE"
    created: float
    modified: float
    auto: bool = False  # unknown certificates that it signed are registered when they first connect
    config: Json = field(default_factory=dict)  # registrationConfig
    mode: str = "DEFAULT"
    version: int = 1

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> CaCertificate:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class RoleAlias:
    name: str
    role: str  # its ARN
    seconds: int  # that its credentials hold
    created: float
    modified: float

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> RoleAlias:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class PolicyRecord(Versioned):
    TEXT = "document"

    generation: str  # changes when a policy of the same name is made anew

    @classmethod
    def made(cls, name: str, document: str, now: float) -> PolicyRecord:
        return cls(name, (Version(1, document, now),), 1, now, now, uuid.uuid4().hex)
