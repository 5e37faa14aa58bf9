"""``littoral up``: run a place."""

from __future__ import annotations

import argparse
from typing import Any

from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import KINDS, check_runnable


def add(commands: Any) -> None:
    command = commands.add_parser(
        "up",
        usage="littoral up [-h] [KIND] [--SETTING VALUE ...]",
        help="run a place until SIGTERM or Ctrl-C",
        description="Run a place until SIGTERM or Ctrl-C.",
    )
    command.add_argument(
        "kind", nargs="?", type=_kind, metavar="KIND", help="region, edge, core or box; without one, region and edge"
    )
    settings_flags(command, shown=True)
    command.set_defaults(command=_run)


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"{text} is no kind of place: {', '.join(filter(None, KINDS))}")
    return text


def _run(options: argparse.Namespace) -> int:
    chosen = settings_of(options).settings
    check_runnable(chosen)
    from littoral.site.lifecycle import run
    from littoral.site.place import build

    return run(chosen, build)
