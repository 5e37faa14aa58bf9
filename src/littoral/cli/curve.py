"""Curves of metrics: a line of text, or a picture (needs matplotlib)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from littoral.cli.asking import Failed

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 40  # characters


def sparkline(values: Sequence[float]) -> str:
    """At most WIDTH bars, each the mean of its share of the values."""
    count = min(WIDTH, len(values))
    cuts = [round(at * len(values) / count) for at in range(count + 1)] if count else []
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(cuts)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    return "".join(BARS[int((each - low) / (high - low or 1.0) * (len(BARS) - 1))] for each in means)


def draw(file: Path, title: str, curves: Mapping[str, Sequence[float]]) -> None:
    """A panel a metric. Raises Failed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise Failed(f"a plot needs {missing.name}: pip install 'littoral[train]'") from missing
    if not curves:
        raise Failed("no metric was found in what the script printed: nothing to plot")
    figure = Figure(figsize=(8.0, 2.6 * len(curves)), layout="constrained")
    for panel, (name, values) in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves.items(), strict=True):
        panel.plot(range(1, len(values) + 1), values, linewidth=1.5)
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    figure.suptitle(title)
    try:
        figure.savefig(file, dpi=120)
    except (OSError, ValueError) as problem:
        raise Failed(f"{file}: {problem}") from problem
