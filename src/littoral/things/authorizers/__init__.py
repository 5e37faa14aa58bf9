"""Custom authorizers: clients that have no certificate are let in by a function, which says what they may."""

from __future__ import annotations

from littoral.things.authorizers.authorizers import Authorizers, NotAdmitted
from littoral.things.authorizers.facts import Authorizer
from littoral.things.authorizers.renewing import Renewing
from littoral.things.authorizers.visitors import Visitors

__all__ = ["Authorizer", "Authorizers", "NotAdmitted", "Renewing", "Visitors"]
