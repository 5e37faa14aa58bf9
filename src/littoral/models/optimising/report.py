"""What was gained and lost, for a person and for a program."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a model, measured on the samples that calibrated nothing.

    ``accuracy``: share of right answers, None without labels. ``difference``: from the given model's answers, as
    a share of their root mean square. ``latency_ms``: of one sample on one thread. ``memory_mib``: by how much a
    process grows.
    """

    name: str
    bytes: int
    accuracy: float | None
    difference: float
    latency_ms: float
    memory_mib: float

    def lost(self, given: Form) -> float:
        """What the bound is held against: the fall of accuracy, or without labels the difference."""
        if self.accuracy is None or given.accuracy is None:
            return self.difference
        return given.accuracy - self.accuracy


@dataclass(frozen=True, slots=True)
class Report:
    """``forms`` begins with the model as it was given. ``chosen``: the form that was written, or None: all lose more
    than ``bound``."""

    measured: str
    bound: float
    samples: int
    forms: tuple[Form, ...]
    chosen: str | None

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    def table(self) -> Table:
        table = Table(title=f"{self.samples} samples; bound {self.bound:g} on {self.measured}")
        for head in ("form", "bytes", "accuracy", "difference", "latency", "memory", ""):
            table.add_column(head, justify="left" if head in {"form", ""} else "right")
        for form in self.forms:
            table.add_row(
                form.name,
                f"{form.bytes:,}",
                "-" if form.accuracy is None else f"{form.accuracy:.4f}",
                f"{form.difference:.4f}",
                f"{form.latency_ms:.3f} ms",
                f"{form.memory_mib:.1f} MiB",
                "written" if form.name == self.chosen else "",
            )
        return table
