"""Where a box is, in Snowball's words, and what may follow. Pure.

::

    New ──> Cancelled                          CancelJob, before a box is prepared
     │ littoral box prepare
     ▼
    PreparingAppliance ──> InProgress ──┐      an export fills the box
     │                                  │
     ▼                                  │
    InTransitToCustomer <───────────────┘      the box is whole and locked
     │ UpdateJobShipmentState RECEIVED
     ▼
    WithCustomer                               the only state that gives manifest and unlock code
     │ UpdateJobShipmentState RETURNED
     ▼
    InTransitToAWS ──> InProgress ──> Complete     an import is read; others are complete as they come back

Never here: PreparingShipment, WithAWSSortingFacility, WithAWS, Listing, Pending; nobody else handles the box.
A box that is read where it stands (``WithCustomer``) is imported all the same: it need not travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NEW: Final = "New"
PREPARING: Final = "PreparingAppliance"
ON_ITS_WAY: Final = "InTransitToCustomer"
WITH_CUSTOMER: Final = "WithCustomer"
RETURNING: Final = "InTransitToAWS"
IN_PROGRESS: Final = "InProgress"
COMPLETE: Final = "Complete"
CANCELLED: Final = "Cancelled"

FOLLOWING: Final[Mapping[str, frozenset[str]]] = {
    NEW: frozenset((CANCELLED, PREPARING)),
    PREPARING: frozenset((IN_PROGRESS, ON_ITS_WAY)),
    ON_ITS_WAY: frozenset((WITH_CUSTOMER,)),
    WITH_CUSTOMER: frozenset((RETURNING, IN_PROGRESS)),
    RETURNING: frozenset((IN_PROGRESS, COMPLETE)),
    IN_PROGRESS: frozenset((COMPLETE, ON_ITS_WAY)),
    COMPLETE: frozenset(),
    CANCELLED: frozenset(),
}
ENDED: Final = frozenset((COMPLETE, CANCELLED))


def may_follow(state: str, wanted: str) -> bool:
    return wanted in FOLLOWING[state]
