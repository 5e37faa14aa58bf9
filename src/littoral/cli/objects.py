"""``littoral objects``: what an operator asks of the objects of a running place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from littoral.cli.asking import ask, is_box
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/scrub"
LOOK = 0.5  # seconds between two looks


def scrub(loaded: Loaded, *, now: bool) -> int:
    """Of a region or a core, or of an unlocked box, which is asked at its control socket. Raises Failed."""
    if is_box(loaded):
        from littoral.cli import box

        return box.scrub(loaded, now=now)
    return told(lambda method: ask(loaded, PATH, service="littoral", method=method), now=now)


def told(asked: Callable[[str], Any], *, now: bool) -> int:
    """Exit status 1 where something is damaged. ``now`` begins a pass (``asked`` by POST) and waits for its end."""
    found = asked("POST" if now else "GET")
    while now and found["running"]:
        time.sleep(LOOK)
        found = asked("GET")
    print("".join(aligned(list(_lines(found)), 1)), end="")
    for name in found["known"]:
        print(f"damaged: {name}", file=sys.stderr)
    if found["index"]:
        print(f"the index is damaged: {found['index']}", file=sys.stderr)
    return 1 if found["known"] or found["index"] else 0


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    state = "under way" if found["running"] else "over" if found["ended"] else "none yet"
    return [
        ("scrub", state),
        ("began", _moment(found["began"] if found["running"] or found["ended"] else 0.0)),
        ("ended", _moment(found["ended"])),
        ("looked at", f"{found['checked']:,}"),
        ("bytes", f"{found['bytes']:,}"),
        ("damaged then", f"{found['damaged']:,}"),
        ("mended", f"{found['mended']:,}"),
        ("damaged now", f"{len(found['known']):,}"),
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else "-"
