"""Where a box is, in Snowball's words, and what leads where.

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
    InTransitToAWS ──> InProgress ──> Complete     an import is read; others are Complete as they are RETURNED

Never here: PreparingShipment, WithAWSSortingFacility, WithAWS, Listing, Pending; nobody else handles the box.
A box that is read where it stands (``WithCustomer``) is imported all the same: it need not travel.
"""

from __future__ import annotations

from typing import Final

NEW: Final = "New"
PREPARING: Final = "PreparingAppliance"
ON_ITS_WAY: Final = "InTransitToCustomer"
WITH_CUSTOMER: Final = "WithCustomer"
RETURNING: Final = "InTransitToAWS"
IN_PROGRESS: Final = "InProgress"
COMPLETE: Final = "Complete"
CANCELLED: Final = "Cancelled"

ENDED: Final = frozenset((COMPLETE, CANCELLED))
