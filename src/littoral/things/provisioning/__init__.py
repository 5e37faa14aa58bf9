"""Provisioning: devices that become things by a template."""

from littoral.things.provisioning.carrying import NotProvisioned
from littoral.things.provisioning.devices import ProvisioningRequests
from littoral.things.provisioning.facts import ProvisioningTemplate
from littoral.things.provisioning.joining import Joining
from littoral.things.provisioning.service import Asked, Provisioning

__all__ = [
    "Asked",
    "Joining",
    "NotProvisioned",
    "Provisioning",
    "ProvisioningRequests",
    "ProvisioningTemplate",
]
