"""Alarms over the time of an outage, with what happened meanwhile in colour."""

from __future__ import annotations

from typing import Any

from littoral.drills.outage.seen import Seen

SPANS = {
    "link down": ("cut", "restored", "0.9", 0.5),
    "core away": ("killed", "again", "tab:red", 0.3),
    "disk full": ("disk full", "disk free", "tab:orange", 0.3),
    "draining": ("restored", "drained", "tab:green", 0.3),
}


def plot(axes: Any, seen: Seen, goal: float) -> None:
    """``goal``: ms, a line."""
    moments = seen.moments
    began = moments["beds"]
    heard = [(sent - began, (at - sent) * 1000) for sent, at in seen.alarms if at is not None and sent >= began]
    axes.plot([x for x, _ in heard], [y for _, y in heard], ".", markersize=3, label="publish to alarm")
    axes.axhline(goal, color="0.6", linewidth=0.8, linestyle=":", label=f"{goal:g} ms")
    for label, (first, last, colour, alpha) in SPANS.items():
        if first in moments and last in moments:
            bounds = moments[first] - began, moments[last] - began
            axes.axvspan(*bounds, color=colour, alpha=alpha, label=label, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("ms")
    axes.legend(loc="upper left", fontsize=8, ncols=3)
