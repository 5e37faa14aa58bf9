"""What a person sees: the closing table, and the HTML report with points over time and the outage shaded."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from littoral.tour.findings import Findings, Outage


@dataclass(frozen=True, slots=True)
class Curve:
    """Cumulative points at one place: (Unix seconds, points)."""

    label: str
    steps: Sequence[tuple[float, int]]


def show(console: Console, findings: Findings, title: str = "What the tour saw") -> None:
    table = Table(title=title, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for what, value in findings.rows:
        table.add_row(what, value)
    console.print(table)
    for check in findings.checks:
        mark = "[green]ok[/green]  " if check.holds else "[red]FAILED[/red]"
        console.print(f"  {mark} {check.claim}: {check.seen}", highlight=False)


def plot(curves: Sequence[Curve], outage: Outage | None) -> str:
    """An SVG of the curves, seconds since the first step on the x axis."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    origin = min(steps[0][0] for steps in (curve.steps for curve in curves) if steps)
    figure, axes = plt.subplots(figsize=(9, 4))
    for curve in curves:
        axes.step([t - origin for t, _ in curve.steps], [n for _, n in curve.steps], where="post", label=curve.label)
    if outage is not None:
        axes.axvspan(outage.start - origin, outage.end - origin, color="0.85", label="link down")
    axes.set_xlabel("seconds")
    axes.set_ylabel("points, cumulative")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    return drawn(figure)


def drawn(figure: Any) -> str:
    """The SVG element of a matplotlib figure, which is closed."""
    import matplotlib.pyplot as plt

    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def write(file: Path, findings: Findings, curves: Sequence[Curve], outage: Outage | None, *plots: str) -> None:
    """``plots``: further SVG elements, shown below that of the curves."""
    rows = "".join(f"<tr><th>{html.escape(a)}<td>{html.escape(b)}" for a, b in findings.rows)
    checks = "".join(
        f"<tr><td class={'ok' if c.holds else 'bad'}>{'ok' if c.holds else 'FAILED'}"
        f"<td>{html.escape(c.claim)}<td>{html.escape(c.seen)}"
        for c in findings.checks
    )
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#123}"
        "table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.3rem .8rem;"
        "border-bottom:1px solid #ccd;vertical-align:top}.ok{color:#070}.bad{color:#b00;font-weight:bold}"
        "svg{max-width:100%;height:auto}"
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Littoral tour</title><style>{style}</style>"
        f"<h1>Littoral tour</h1>{plot(curves, outage)}{''.join(plots)}<h2>Figures</h2><table>{rows}</table>"
        f"<h2>Checks</h2><table>{checks}</table></html>",
        encoding="utf-8",
    )
