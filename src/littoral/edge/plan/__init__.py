"""A distribution compiled once, so that a request runs straight-line code: no configuration is read on its way.

Input is a DistributionConfig in the API's own names, and the policies it refers to by id. What a plan holds is plain
data and small functions of a request. A file per noun; ``compile_plan`` is the way in.
"""

from littoral.edge.plan.behaviour import EVENTS, SAFE_METHODS, Behaviour, Trigger, pattern_matcher
from littoral.edge.plan.distribution import ErrorPage, Plan, compile_plan
from littoral.edge.plan.document import Document, items
from littoral.edge.plan.failover import FAILS_OVER, Failover
from littoral.edge.plan.origin import Origin
from littoral.edge.plan.selection import Choice, Selection, accepted_encoding, cookie_text, query_text

__all__ = [
    "EVENTS",
    "FAILS_OVER",
    "SAFE_METHODS",
    "Behaviour",
    "Choice",
    "Document",
    "ErrorPage",
    "Failover",
    "Origin",
    "Plan",
    "Selection",
    "Trigger",
    "accepted_encoding",
    "compile_plan",
    "cookie_text",
    "items",
    "pattern_matcher",
    "query_text",
]
