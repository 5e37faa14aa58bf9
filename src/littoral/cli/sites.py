"""``littoral sites``: the edge locations of a region, and which function version runs where."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from littoral.cli.asking import Failed, ask
from littoral.cli.flags import shows
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/edge/sites"


def run(loaded: Loaded, *, as_json: bool) -> int:
    """Exit code 0; 1 where the place does not answer, or is no region."""
    try:
        answer = ask(loaded, PATH, service="littoral")
    except Failed as problem:
        print(f"littoral: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2) if as_json else table(answer, time.time()), end="\n" if as_json else "")
    return 0


def table(answer: Any, now: float) -> str:
    """A line for each location and each version that it holds."""
    lines: list[tuple[str, ...]] = [("location", "state", "function", "version", "revision", "seen")]
    for location in answer["locations"]:
        about = (str(location["revision"]), ago(now - location["seen"]))
        held = [arn.rsplit(":", 2)[1:] for arn in location["functions"]] or [["-", "-"]]
        lines += [(location["name"], location["state"], name, version, *about) for name, version in held]
    head = f"revision {answer['revision']}\n"
    return head + ("".join(aligned(lines, 3)) if len(lines) > 1 else "no edge location has spoken yet\n")


def ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def add(commands: Any) -> None:
    command = commands.add_parser(
        "sites",
        help="the edge locations, and which function runs where",
        description="Print the edge locations of a region: whether each is current, behind or lost, and which "
        "function versions it holds.",
    )
    shows(command, run)
