"""``littoral usage``: what the functions of a running place used, asked of the place with its own credentials.

There are no prices here: whoever has some multiplies requests and GB-seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from littoral.cli.asking import Failed, ask
from littoral.cli.flags import settings_flags, settings_of
from littoral.cli.table import aligned
from littoral.site.settings import Loaded, SettingsError

PATH = "/_littoral/usage"
COLUMNS = (
    ("requests", "requests"),
    ("errors", "errors"),
    ("throttles", "throttled"),
    ("cold", "cold starts"),
    ("billed_ms", "billed ms"),
    ("gb_seconds", "GB-seconds"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    since: str | None
    until: str | None
    by_day: bool
    as_json: bool

    @classmethod
    def of(cls, options: argparse.Namespace) -> Asked:
        return cls(options.since, options.until, options.by_day, options.json)


def run(loaded: Loaded, asked: Asked) -> int:
    query = {
        name: day
        for name, day in (("since", _day(asked.since, "--since")), ("until", _day(asked.until, "--until")))
        if day is not None
    }
    try:
        answer = ask(loaded, f"{PATH}?{urlencode(query)}" if query else PATH)
    except Failed as problem:
        print(f"littoral: {problem}", file=sys.stderr)
        return 1
    if asked.as_json:
        print(json.dumps(answer, indent=2))
    else:
        print(table(answer, by_day=asked.by_day), end="")
    return 0


def _day(text: str | None, flag: str) -> str | None:
    """A day as the place takes it. Raises SettingsError."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,4}d", text):
        return (datetime.now(UTC) - timedelta(days=int(text[:-1]))).strftime("%Y-%m-%d")
    try:
        return datetime.strptime(text, "%Y-%m-%d").strftime("%Y-%m-%d")
    except ValueError:
        message = f"{flag} {text}: a day is written 2026-11-23, or 7d for seven days ago"
        raise SettingsError(message) from None


def table(answer: Any, *, by_day: bool) -> str:
    """For people: a line a function, or one a day and function, and the total."""
    sums: dict[tuple[str, ...], dict[str, float]] = {}
    for row in answer["days"]:
        found = sums.setdefault((row["day"], row["function"]) if by_day else (row["function"],), {})
        for name, _ in COLUMNS:
            found[name] = found.get(name, 0) + row[name]
    heads = ("day", "function") if by_day else ("function",)
    lines = [(*heads, *(title for _, title in COLUMNS))]
    lines += [(*key, *_shown(row)) for key, row in sorted(sums.items())]
    lines.append(("total", *("" for _ in heads[1:]), *_shown(answer["total"])))
    text = "".join(aligned(lines, len(heads)))
    return f"{answer['since']} to {answer['until']} (UTC)\n{text}"


def _shown(row: Any) -> Iterable[str]:
    return (f"{row[name]:,.3f}" if name == "gb_seconds" else f"{row[name]:,}" for name, _ in COLUMNS)


def add(commands: Any) -> None:
    command = commands.add_parser(
        "usage",
        help="what functions used",
        description="Print what the functions of a place used: requests, billed time, GB-seconds (days are UTC)",
    )
    command.add_argument("--since", metavar="DAY", help="2026-11-01, or 7d for the last seven days (default: 30d)")
    command.add_argument("--until", metavar="DAY", help="the last day (default: today)")
    command.add_argument("--by-day", action="store_true", help="a line for each day and function")
    command.add_argument("--json", action="store_true", help="everything, as JSON")
    settings_flags(command)
    command.set_defaults(command=lambda options: run(settings_of(options), Asked.of(options)))
