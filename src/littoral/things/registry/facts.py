"""What the registry holds, as frozen facts. Times are Unix seconds."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.things.versions import Version, Versioned

Json = dict[str, Any]

CONNECTION_CLIENT: Final = "iot:ClientId"  # what of a connection may be propagated
CONNECTION_THING: Final = "iot:Thing.ThingName"


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
class Propagating:
    """What is added as a user property to all that a thing of the type publishes: of the thing or its connection."""

    key: str
    attribute: str | None = None  # a thing attribute
    connection: str | None = None  # CONNECTION_CLIENT or CONNECTION_THING


@dataclass(frozen=True, slots=True)
class ThingType:
    name: str
    id: str
    description: str = ""
    searchable: tuple[str, ...] = ()
    created: float = 0.0
    deprecated: float | None = None  # when
    propagating: tuple[Propagating, ...] = ()

    def added(self, thing: Thing, client_id: str) -> tuple[tuple[str, str], ...]:
        """The user properties of a message that the thing publishes; none for an attribute that it does not have."""
        values = {CONNECTION_CLIENT: client_id, CONNECTION_THING: thing.name}
        found = (
            (one.key, values.get(one.connection or "") or thing.attributes.get(one.attribute or ""))
            for one in self.propagating
        )
        return tuple((key, value) for key, value in found if value is not None)

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> ThingType:
        propagating = tuple(Propagating(**one) for one in found.get("propagating", ()))
        return cls(**{**found, "searchable": tuple(found["searchable"]), "propagating": propagating})


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
