"""``littoral coverage``: which AWS operations are there and what they do not honour, from the code itself."""

from __future__ import annotations

import sys


def run(service: str | None) -> int:
    """Print the coverage of one service, or of all."""
    from littoral.aws import coverage
    from littoral.site.services import API_CLASSES, api_classes

    if service is not None and service not in API_CLASSES:
        print(f"littoral: {service} is not there; these are: {', '.join(sorted(API_CLASSES))}", file=sys.stderr)
        return 2
    chosen = sorted(API_CLASSES) if service is None else [service]
    # The operations are read off the classes; an instance would need a whole place.
    found = {name: coverage.of(name, tuple(map(object.__new__, api_classes(name)))) for name in chosen}
    print(coverage.text(found), end="")
    return 0
