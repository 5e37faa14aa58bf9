"""What two looks at a place's ``/metrics`` say of its things: a pure difference, and its forms for people.

Owns: which readings make the picture. Knows no clock and no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from littoral.cli.table import aligned

Labels = tuple[tuple[str, str], ...]
MOST: Final = 8  # lines of one kind
_REFUSED, _RULES = "littoral_iot_refused_total", "littoral_rule_messages_total"
_AUTHORIZERS = "littoral_iot_authorizer_answers_total"


@dataclass(frozen=True, slots=True)
class Look:
    """``at`` is in Unix seconds."""

    at: float
    values: Mapping[tuple[str, Labels], float]

    @classmethod
    def read(cls, at: float, text: str) -> Look:
        """Raises ValueError for what is no page of metrics."""
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(text)
        samples = (sample for family in families for sample in family.samples)
        return cls(at, {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples})

    def value(self, name: str) -> float:
        return self.values.get((name, ()), 0.0)

    def of(self, name: str) -> Iterator[tuple[Labels, float]]:
        return ((labels, value) for (found, labels), value in self.values.items() if found == name)


def difference(before: Look, after: Look) -> dict[str, Any]:
    """Gauges as they are, counters as what came since; rates are per second. A place that was started anew in between
    counts from its start."""
    seconds = max(after.at - before.at, 1e-9)

    def since(name: str, labels: Labels = ()) -> float:
        new, old = after.values.get((name, labels), 0.0), before.values.get((name, labels), 0.0)
        return new - old if new >= old else new

    def rate(name: str, labels: Labels = ()) -> float:
        return round(since(name, labels) / seconds, 1)

    def counted(name: str) -> list[dict[str, Any]]:
        rows = [{**dict(labels), "count": int(since(name, labels))} for labels, _ in after.of(name)]
        return sorted((row for row in rows if row["count"]), key=lambda row: -row["count"])

    return {
        "at": round(after.at, 3),
        "seconds": round(seconds, 3),
        **{name: int(after.value(f"littoral_mqtt_{name}")) for name in ("connections", "sessions", "subscriptions")},
        "queued": int(after.value("littoral_mqtt_queued")),
        "in": rate("littoral_mqtt_received_total"),
        "out": rate("littoral_mqtt_sent_total"),
        "dropped": int(since("littoral_mqtt_dropped_total")),
        "refused": counted(_REFUSED),
        "authorizers": counted(_AUTHORIZERS),
        "rules": _rules(after, rate),
    }


def _rules(after: Look, rate: Callable[[str, Labels], float]) -> list[dict[str, Any]]:
    """Those with anything to do, the busiest first."""
    rules: dict[str, dict[str, Any]] = {}
    for labels, _ in after.of(_RULES):
        found = dict(labels)
        rules.setdefault(found["rule"], {"rule": found["rule"]})[found["result"]] = rate(_RULES, labels)
    rows = [
        {"rule": rule, **{name: row.get(name, 0.0) for name in ("matched", "success", "failure")}}
        for rule, row in rules.items()
    ]
    return sorted((row for row in rows if row["matched"] or row["failure"]), key=lambda row: -row["matched"])


def line(seen: Mapping[str, Any], clock: str) -> str:
    """One line, for a pipe."""
    parts = [
        clock,
        f"connections {seen['connections']}",
        f"in {seen['in']:g}/s",
        f"out {seen['out']:g}/s",
        f"queued {seen['queued']}",
        f"dropped {seen['dropped']}",
        f"refused {sum(row['count'] for row in seen['refused'])}",
    ]
    parts += [f"{row['action']} {row['reason']} {row['count']}" for row in seen["refused"][:MOST]]
    parts += [f"rule {row['rule']} {row['matched']:g}/s" for row in seen["rules"][:MOST]]
    return "  ".join(parts)


def screen(seen: Mapping[str, Any], clock: str, where: str) -> str:
    """All of it, for a terminal."""
    head = [
        ("connections", "sessions", "subscriptions", "in/s", "out/s", "queued", "dropped"),
        (
            *(str(seen[name]) for name in ("connections", "sessions", "subscriptions")),
            *(f"{seen[name]:g}" for name in ("in", "out")),
            *(str(seen[name]) for name in ("queued", "dropped")),
        ),
    ]
    text = f"{where}  {clock}  (Ctrl-C ends)\n\n{''.join(aligned(head, 0))}"
    refused = [(row["action"], row["reason"], str(row["count"])) for row in seen["refused"]]
    asked = [(row["authorizer"], row["result"], str(row["count"])) for row in seen["authorizers"]]
    rules = [(row["rule"], *(f"{row[name]:g}" for name in ("matched", "success", "failure"))) for row in seen["rules"]]
    text += _part(("refused", "reason", "times"), refused, 2)
    text += _part(("authorizer", "answer", "times"), asked, 2)
    return text + _part(("rule", "matched/s", "done/s", "failed/s"), rules, 1)


def _part(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int) -> str:
    if not rows:
        return ""
    more = f"and {len(rows) - MOST} more\n" if len(rows) > MOST else ""
    return "\n" + "".join(aligned([head, *rows[:MOST]], left)) + more
