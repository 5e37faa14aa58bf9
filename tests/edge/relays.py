"""Which requests went the short way, and how to have all go the long one."""

from __future__ import annotations

from tests.edge.place import Edge


def long_way(place: Edge) -> None:
    """As if nothing could be relayed, or go through its function without a task."""
    place.pipeline._calling.of = lambda *_: None  # type: ignore[method-assign]
    place.pipeline._relaying.of = lambda *_: None  # type: ignore[method-assign]
