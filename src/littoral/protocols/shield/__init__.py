"""Limits for clients who ask more than can be served, in constant memory. ``Shield`` decides, a driver does."""

from littoral.protocols.shield.buckets import Buckets
from littoral.protocols.shield.cheapfirst import CheapFirst
from littoral.protocols.shield.clients import client_of
from littoral.protocols.shield.contributors import Contributors
from littoral.protocols.shield.fairqueue import FairQueue
from littoral.protocols.shield.shield import ClientLimits, Shield
from littoral.protocols.shield.turnstile import Turnstile

__all__ = ["Buckets", "CheapFirst", "ClientLimits", "Contributors", "FairQueue", "Shield", "Turnstile", "client_of"]
