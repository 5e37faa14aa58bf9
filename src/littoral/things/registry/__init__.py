"""The facts about things, certificates and policies, and who is attached to whom."""

from littoral.things.registry.claims import Claim
from littoral.things.registry.facts import (
    BillingGroup,
    CaCertificate,
    Certificate,
    PolicyRecord,
    RoleAlias,
    Thing,
    ThingGroup,
    ThingType,
)
from littoral.things.registry.registry import Registry

__all__ = [
    "BillingGroup",
    "CaCertificate",
    "Certificate",
    "Claim",
    "PolicyRecord",
    "Registry",
    "RoleAlias",
    "Thing",
    "ThingGroup",
    "ThingType",
]
