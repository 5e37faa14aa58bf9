"""What of a place's objects lies here and what above: ``littoral objects tier``, and ``littoral box tier`` of a box."""

from __future__ import annotations

import json
import sys
from typing import Any

from littoral.cli.asking import ask
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/tier"


def tier(loaded: Loaded, *, now: bool, as_json: bool) -> int:
    """Exit code 1 where the place above does not answer. Raises Failed."""
    return _shown(ask(loaded, PATH, service="littoral", method="POST" if now else "GET"), as_json=as_json)


def _shown(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(found, indent=2))
        return 1 if found["waiting"] else 0
    keep = found["keepBytes"]
    lines = [
        ("kept here", "all" if keep is None else f"up to {keep:,} bytes"),
        ("here", f"{found['hereBytes']:,} bytes"),
        ("above", f"{found['aboveBytes']:,} bytes in {found['aboveBlobs']:,} files"),
        ("let go", f"{found['letGo']:,}"),
        ("recalled", f"{found['recalled']:,}"),
        ("read through", f"{found['readThrough']:,}"),
    ]
    print("".join(aligned(lines, 1)), end="")
    if found["waiting"]:
        print(f"littoral: nothing goes on: {found['waiting']}", file=sys.stderr)
    return 1 if found["waiting"] else 0
