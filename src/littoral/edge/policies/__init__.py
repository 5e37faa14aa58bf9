"""The managed policies, by AWS's own ids: a file per kind. Left out: the four that only Amplify itself attaches."""

from littoral.edge.policies.cache import MANAGED_CACHE
from littoral.edge.policies.origin_request import MANAGED_ORIGIN_REQUEST
from littoral.edge.policies.response_headers import MANAGED_RESPONSE_HEADERS

__all__ = ["MANAGED_CACHE", "MANAGED_ORIGIN_REQUEST", "MANAGED_RESPONSE_HEADERS"]
