"""``littoral coverage``: which AWS operations are there and what they do not honour, from the code itself."""

from __future__ import annotations

import sys
from typing import Any


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


def add(commands: Any) -> None:
    command = commands.add_parser(
        "coverage",
        help="which AWS operations are there",
        description="Print, per service, the operations that are there, those that are not, and the input fields "
        "that an operation does not honour.",
    )
    command.add_argument("service", nargs="?", help="one service, as boto3 calls it (s3, lambda, iot, …)")
    command.set_defaults(command=lambda options: run(options.service))
