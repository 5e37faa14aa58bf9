"""The fleet index: what every thing is, reports and is connected as, searched and counted; dynamic thing groups."""

from littoral.things.indexing.index import Follow, Index
from littoral.things.indexing.membership import Membership

__all__ = ["Follow", "Index", "Membership"]
