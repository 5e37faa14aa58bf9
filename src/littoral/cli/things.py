"""``littoral things``: who is connected, and what goes on, at a running place."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Final, TextIO
from urllib.parse import urlencode

from littoral.cli.asking import Failed, address, ask
from littoral.cli.flags import seconds, settings_flags, settings_of, shows, times
from littoral.cli.table import aligned
from littoral.cli.watching import Look, difference, line, screen
from littoral.site.settings import Loaded

CLIENTS: Final = "/_littoral/things/clients"
HIDE, SHOW, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[H\x1b[J"


def clients(loaded: Loaded, *, as_json: bool) -> int:
    """Exit code 0; 1 where the place does not answer."""
    found: list[dict[str, Any]] = []
    try:
        while True:
            after = {"after": found[-1]["clientId"]} if found else {}
            page = ask(loaded, f"{CLIENTS}?{urlencode(after)}" if after else CLIENTS, service="littoral")
            found += page["clients"]
            if not page["more"]:
                break
    except Failed as problem:
        print(f"littoral: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if as_json else table(found), end="\n" if as_json else "")
    return 0


def table(found: list[dict[str, Any]]) -> str:
    """A line for each client, and how many there are."""
    lines = [("client", "protocol", "from", "as", "subscriptions")]
    for one in found:
        by = f"{one['principal']} ({one['authorizer']})" if one["authorizer"] else one["principal"][:16] or "-"
        lines.append((one["clientId"], one["protocol"], one["address"], by, str(one["subscriptions"])))
    rows = "".join(aligned(lines, 4)) if found else ""
    return f"{rows}{len(found)} connected\n"


def watch(loaded: Loaded, *, interval: float, count: int | None, as_json: bool, out: TextIO | None = None) -> int:
    """Until Ctrl-C, or ``count`` times. Exit code 1 where the place does not answer at first; one that goes away later
    is waited for."""
    out = out or sys.stdout
    live = out.isatty() and not as_json
    try:
        where = address(loaded)
        before = _look(where)
        if live:
            out.write(HIDE)
        _follow(_writer(out, where, as_json=as_json, live=live), where, before, interval, count)
    except Failed as problem:
        print(f"littoral: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if live:
            out.write("\n")
    finally:
        if live:
            out.write(SHOW)
            out.flush()
    return 0


def _follow(
    write: Callable[[dict[str, Any]], None], where: str, before: Look, interval: float, count: int | None
) -> None:
    seen, due = 0, time.monotonic()
    while count is None or seen < count:
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            after = _look(where)
        except Failed as problem:
            print(f"littoral: {problem}", file=sys.stderr)
            due = time.monotonic()  # what was missed is not made up for
            continue
        write(difference(before, after))
        before, seen = after, seen + 1


def _writer(out: TextIO, where: str, *, as_json: bool, live: bool) -> Callable[[dict[str, Any]], None]:
    def write(seen: dict[str, Any]) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(seen["at"]))
        if as_json:
            text = json.dumps(seen) + "\n"
        else:
            text = CLEAR + screen(seen, clock, where) if live else line(seen, clock) + "\n"
        out.write(text)
        out.flush()

    return write


def _look(where: str) -> Look:
    """Raises Failed."""
    try:
        with urllib.request.urlopen(f"{where}/metrics", timeout=30) as response:
            return Look.read(time.time(), response.read().decode())
    except (OSError, ValueError) as error:
        raise Failed(f"{where} does not answer: {error}") from None


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "things",
        help="who is connected, and what goes on",
        description="What goes on at the broker of a running place.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    watched = parts.add_parser(
        "watch",
        help="connections, rates, refusals and rules, until Ctrl-C",
        description="Connections, messages a second in and out, what was refused and why, and the busiest rules: in a "
        "terminal one picture that changes, in a pipe a line for each interval.",
    )
    watched.add_argument("--interval", type=seconds, default=2.0, metavar="SECONDS", help="between looks (default: 2)")
    watched.add_argument("--count", type=times, metavar="N", help="end after so many (default: never)")
    watched.add_argument("--json", action="store_true", help="a JSON object for each interval")
    settings_flags(watched)
    watched.set_defaults(
        command=lambda options: watch(
            settings_of(options), interval=options.interval, count=options.count, as_json=options.json
        )
    )
    connected = parts.add_parser("clients", help="who is connected", description="Print who is connected.")
    shows(connected, clients)
