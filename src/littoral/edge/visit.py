"""One viewer request on its way through an edge location, and what ends it early."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from littoral.edge.cache import Key
from littoral.edge.plan import Behaviour, Origin, Plan
from littoral.edge.told import Told
from littoral.edge.triggers import About, EdgeRequest
from littoral.net.client import RequestFailed
from littoral.net.message import Request


@dataclass(slots=True)
class Visit:
    """One viewer request and what is known of it by now."""

    viewer: Request
    plan: Plan
    behaviour: Behaviour
    request: EdgeRequest
    about: About
    since: int = 0  # the cache's generation when the origin was asked
    began: float = field(default_factory=time.perf_counter)
    told: Told | None = None  # of the origin, where this visit asked it
    failed: str = ""  # how the primary of an origin group did
    inner: bool = False  # another location asks, for a viewer of its own
    block: tuple[int, Key] | None = None  # of its object under that key, where a piece is asked for (``slicing``)
    origin: Origin | None = None  # the one that a CloudFront function chose
    tried: RequestFailed | None = None  # what the first attempt at its origin came to, where that was made before
    shared: Key | None = None  # where the answer to a request with Authorization lies, if its origin lets it be shared

    @property
    def upstream_took(self) -> float | None:
        """Seconds until the origin answered, where this visit asked it."""
        return self.told.first if self.told is not None and self.told.first >= 0 else None

    @property
    def path(self) -> str:
        """And query, as invalidations match it."""
        query = self.request.querystring
        return f"{self.request.uri}?{query}" if query else self.request.uri


class EdgeFailure(Exception):
    """The request ends with an error of the edge itself."""

    def __init__(
        self,
        status: int,
        title: str,
        reason: str,
        label: str = "Error from cloudfront",
        detail: str = "",
        identifier: str = "",
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.title = title
        self.reason = reason
        self.label = label
        self.detail = detail  # for logs (``told``)
        self.identifier = identifier  # of the request, where a function has seen it
