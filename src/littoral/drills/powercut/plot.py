"""What was acknowledged before each cut, and how soon the place was ready again."""

from __future__ import annotations

from typing import Any

from littoral.drills.powercut.seen import Seen


def plot(axes: Any, seen: Seen) -> None:
    cuts = range(1, len(seen.rounds) + 1)
    below = [0] * len(seen.rounds)
    for label, colour in (("records", "tab:blue"), ("objects", "tab:orange"), ("invocations", "tab:green")):
        counts = [getattr(each, label) for each in seen.rounds]
        axes.bar(cuts, counts, bottom=below, color=colour, label=f"{label} acknowledged")
        below = [under + count for under, count in zip(below, counts, strict=True)]
    axes.set_xlabel("power cut")
    axes.set_ylabel("acknowledged before it")
    axes.legend(loc="upper left", fontsize=8)
    seconds = axes.twinx()
    seconds.plot(cuts, [each.ready for each in seen.rounds], "k.-", linewidth=0.8, label="ready again")
    seconds.set_ylim(bottom=0)
    seconds.set_ylabel("seconds until ready again")
