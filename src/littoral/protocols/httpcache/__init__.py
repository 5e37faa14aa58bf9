"""HTTP caching decisions (RFC 9111) under CloudFront's time-to-live rules. Time is an argument; nothing is stored."""

from littoral.protocols.httpcache.directives import cache_control, http_date
from littoral.protocols.httpcache.freshness import Lifetime, Ttl, initial_age, lifetime, shareable, varies_on

__all__ = ["Lifetime", "Ttl", "cache_control", "http_date", "initial_age", "lifetime", "shareable", "varies_on"]
