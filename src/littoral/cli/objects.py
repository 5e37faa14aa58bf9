"""``littoral objects``: what an operator asks of the objects of a running place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from littoral.cli import tiering
from littoral.cli.asking import ask
from littoral.cli.flags import settings_flags, settings_of
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/scrub"
LOOK = 0.5  # seconds between two looks


def scrub(loaded: Loaded, *, now: bool) -> int:
    """Of a region or a core. Raises Failed."""
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


def add(commands: Any) -> None:
    group = commands.add_parser("objects", help="look after the objects of a running place")
    within = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_scrub(within, scrub)
    add_tier(within, tiering.of_place)


def add_scrub(within: Any, run: Callable[..., int]) -> None:
    """``run`` takes the settings and ``now``."""
    command = within.add_parser(
        "scrub",
        help="what the scrub found, or a pass of it now",
        description="The scrub reads all that objects consist of and holds it against its checksums. Exit status 1: "
        "something is damaged.",
    )
    command.add_argument("--now", action="store_true", help="begin a pass and wait for its end")
    command.set_defaults(command=lambda options: run(settings_of(options), now=options.now))
    settings_flags(command)


def add_tier(parts: Any, command: Callable[..., int]) -> None:
    """``tier``, of a place or a box."""
    made = parts.add_parser(
        "tier",
        help="what lies here and what above, or make room now",
        description="Beyond --tier-keep the bytes of objects go that the place above has, too. Exit status 1: it does "
        "not answer.",
    )
    made.add_argument("--now", action="store_true", help="let go what is too much, and wait for it")
    made.add_argument("--json", action="store_true", help="as JSON")
    made.set_defaults(command=lambda options: command(settings_of(options), now=options.now, as_json=options.json))
    settings_flags(made)
