"""The flags of ``littoral objects``, and of what a box is asked alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from littoral.cli import objects, tiering
from littoral.cli.flags import settings_flags, settings_of


def add(commands: Any) -> None:
    what = "look after the objects of a running place"
    group = commands.add_parser("objects", help=what, description=f"{what.capitalize()}.")
    within = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_scrub(within, objects.scrub)
    add_tier(within, tiering.tier)


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
