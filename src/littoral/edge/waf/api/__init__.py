"""The WAFv2 API (2019-07-29)."""

from __future__ import annotations

from littoral.edge.waf.api.absent import AbsentOperations
from littoral.edge.waf.api.managed import ManagedOperations
from littoral.edge.waf.api.observing import ObservingOperations
from littoral.edge.waf.api.parts import LogDestinations
from littoral.edge.waf.api.sets import SetOperations
from littoral.edge.waf.api.webacls import AssociationOperations

__all__ = ["LogDestinations", "Wafv2"]


class Wafv2(AssociationOperations, SetOperations, ObservingOperations, ManagedOperations, AbsentOperations):
    """All operations of botocore's service "wafv2"; ``absent`` are those that no place can carry out."""
