"""``littoral backup``: the data folder of a place, copied while the place runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from littoral.cli.asking import Failed
from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import Loaded


def run(loaded: Loaded, to: Path, since: Path | None) -> int:
    """Exit status 1 where something of it is damaged. Raises Failed."""
    from littoral.objects.tiering.rows import above_by_target
    from littoral.store.embedded.backup import BackupFailed, back_up

    try:
        made = back_up(loaded.settings.data_dir, to, since)
    except BackupFailed as problem:
        raise Failed(f"no backup was made: {problem}") from problem
    again = f", {made.linked:,} of them as in {since}" if since is not None else ""
    print(f"{to}: {made.databases} databases, {made.blobs:,} blobs of {made.bytes:,} bytes{again}")
    if made.elsewhere:
        print(f"{made.elsewhere:,} blobs lie at the other endpoint, and are not in it", file=sys.stderr)
    index = to / "objects" / "objects.db"
    for target, blobs, size in above_by_target(index) if index.exists() else ():
        print(f"{blobs:,} blobs of {size:,} bytes lie in {target} only, and are not in it", file=sys.stderr)
    for name in made.damaged:
        print(f"damaged, and copied as it is: {name}", file=sys.stderr)
    return 1 if made.damaged else 0


def add(commands: Any) -> None:
    command = commands.add_parser(
        "backup",
        help="copy a place, running or not, to a folder",
        description="Copy the data folder of a place, running or stopped, as of one moment: databases, the files of "
        "objects and functions, keys. To restore, start a place with the copy as its data folder. "
        "Exit status 1: something is damaged.",
    )
    command.add_argument("to", type=Path, metavar="TO", help="a folder that is not there yet")
    command.add_argument(
        "--since", type=Path, metavar="BACKUP", help="an earlier backup: what has not changed becomes hard links to it"
    )
    command.set_defaults(command=lambda options: run(settings_of(options), options.to, options.since))
    settings_flags(command)
