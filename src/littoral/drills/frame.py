"""What all drills share: a folder, what happens when something breaks, the report with its plot, the exit status.

A drill is a function: it gets a console, an empty folder and what ends with it, and returns a ``Report``.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from littoral.tour.findings import Findings
from littoral.tour.monitors import NotConnected
from littoral.tour.places import PlaceError
from littoral.tour.provision import NotProvisioned
from littoral.tour.recordings import RecordingError
from littoral.tour.report import show


@dataclass(frozen=True, slots=True)
class Report:
    found: Findings
    plot: Callable[[Any], None]  # onto matplotlib's axes
    details: Mapping[str, Any] = field(default_factory=dict)  # for report.json


class NotHere(Exception):
    """This machine does not allow the drill; the message is one line for a person."""


BROKEN = (PlaceError, NotProvisioned, NotConnected, RecordingError, OSError)

Drill = Callable[[Console, Path, ExitStack], Report]


def carry_out(name: str, drill: Drill, into: Path) -> int:
    """Exit status: 0 all goals hold, 1 one is missed or a place broke, 3 not allowed here, 130 interrupted."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="littoral-drill-"))
    try:
        with ExitStack() as cleanup:
            report = drill(console, folder, cleanup)
    except NotHere as problem:
        print(f"littoral drill: {problem}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        return 3
    except (*BROKEN, BotoCoreError, ClientError) as problem:
        console.print(f"[red]The drill broke off:[/red] {problem}", highlight=False)
        console.print(f"Logs are kept in {folder}")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: everything was stopped.")
        return 130
    write(into, name, report)
    found = report.found
    show(console, found, "What the drill saw")
    console.print(f"Goals: {len(found.checks) - len(found.failed)} met, {len(found.failed)} missed", highlight=False)
    console.print(f"Report: {into.resolve()}")
    for check in found.failed:
        print(f"littoral drill: missed: {check.claim}: {check.seen}", file=sys.stderr)
    if found.failed:
        console.print(f"Logs are kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def write(into: Path, name: str, report: Report) -> None:
    """``report.json``, ``report.md`` and the plot, ``NAME.png``."""
    into.mkdir(parents=True, exist_ok=True)
    checks = [asdict(check) for check in report.found.checks]
    document = {"checks": checks, "rows": dict(report.found.rows), **report.details}
    (into / "report.json").write_text(json.dumps(document, indent=1))
    (into / "report.md").write_text(_page(name, report.found))
    _draw(into / f"{name}.png", report.plot)


def _page(name: str, found: Findings) -> str:
    """The report for people, with its picture beside it."""
    checks = [
        f"| {check.claim} | {'holds' if check.holds else '**missed**'} | {check.seen} |" for check in found.checks
    ]
    rows = [f"| {what} | {value} |" for what, value in found.rows]
    parts = (
        *(f"# Drill: {name}", "", "| promised | | seen |", "|---|---|---|", *checks, ""),
        *("| | |", "|---|---|", *rows, "", f"![{name}]({name}.png)", ""),
    )
    return "\n".join(parts)


def _draw(file: Path, plot: Callable[[Any], None]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.4))
    plot(axes)
    figure.savefig(file, bbox_inches="tight", dpi=110)
    pyplot.close(figure)
