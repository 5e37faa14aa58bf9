"""The CloudFront API (2020-05-31): distributions, invalidations, policies, access to origins, keys and tags."""

from __future__ import annotations

from littoral.edge.api.associations import AssociationOperations
from littoral.edge.api.controls import ControlOperations
from littoral.edge.api.functions import FunctionOperations
from littoral.edge.api.identities import IdentityOperations
from littoral.edge.api.invalidations import InvalidationOperations
from littoral.edge.api.keys import KeyOperations
from littoral.edge.api.keyvaluestores import KeyValueStoreOperations
from littoral.edge.api.monitoring import MonitoringOperations
from littoral.edge.api.parts import FunctionLookup, documents_of
from littoral.edge.api.policies import PolicyOperations
from littoral.edge.api.tags import TagOperations

__all__ = ["CloudFront", "FunctionLookup", "documents_of"]


class CloudFront(
    AssociationOperations,
    InvalidationOperations,
    PolicyOperations,
    ControlOperations,
    IdentityOperations,
    KeyOperations,
    MonitoringOperations,
    TagOperations,
    FunctionOperations,
    KeyValueStoreOperations,
):
    """All operations of botocore's service "cloudfront" that Littoral has; distributions come with the look-ups."""
