"""The region's side: attacks as locations told of them, kept for a year, and told again as the Shield API does."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Output
from littoral.edge.control import Control
from littoral.protocols.shield.shield import REQUESTS
from littoral.store.documents import Document

KIND = "shield-attack"
KEPT = 1000
YEAR = 365 * 86400.0
LOST = 120.0  # seconds without a word after which one that went on counts as over: its location is away
FLOODS = {REQUESTS: "REQUEST_FLOOD"}  # every other name is of connections
OTHER = "CONNECTION_FLOOD"


class Attacks:
    def __init__(self, control: Control, account: str) -> None:
        self._control = control
        self._account = account

    async def take(self, location: str, told: Document, now: float) -> None:
        """Durable. Raises KeyError, ValueError, TypeError for what is no attack."""
        vectors = {
            str(name): {key: int(counts[key]) for key in ("sum", "max", "seconds")}
            for name, counts in told["vectors"].items()
        }
        document: Document = {
            "id": str(told["id"]),
            "start": round(float(told["start"]), 3),  # as precise as it is told
            "end": None if told["end"] is None else round(float(told["end"]), 3),
            "distribution": str(told["distribution"]),
            "total": int(told["total"]),
            "vectors": vectors,
            "contributors": [[str(name), int(count)] for name, count in told["contributors"]],
            "location": location,
            "told": now,
        }
        async with self._control.changing:
            await self._control.put(KIND, document["id"], document, deploy=False)
            for place, each in enumerate(self.all(now)):
                if place >= KEPT or each["start"] < now - YEAR:
                    await self._control.delete(KIND, each["id"], deploy=False)

    def all(self, now: float) -> list[Document]:
        """The latest first; each with its end, where it is over."""
        found = []
        for each in self._control.all(KIND).values():
            end = each["end"]
            if end is None and now - each["told"] > LOST:
                end = each["told"]
            found.append({**each, "end": end})
        return sorted(found, key=lambda each: -float(each["start"]))

    def arn(self, attack: Document) -> str | None:
        """The distribution that most of the refused requests asked for; None where only connections were refused."""
        identifier = attack["distribution"]
        return f"arn:aws:cloudfront::{self._account}:distribution/{identifier}" if identifier else None

    def summary(self, attack: Document) -> Output:
        made = self._common(attack)
        kinds = sorted({FLOODS.get(name, OTHER) for name in attack["vectors"]})
        return {**made, "AttackVectors": [{"VectorType": kind} for kind in kinds]}

    def described(self, attack: Document) -> Output:
        contributors = [{"Name": name, "Value": count} for name, count in attack["contributors"]]
        source = {
            "AttackLayer": "APPLICATION",
            "AttackPropertyIdentifier": "SOURCE_IP_ADDRESS",
            "TopContributors": contributors,
            "Unit": "REQUESTS",
            "Total": attack["total"],
        }
        return {
            **self._common(attack),
            "AttackCounters": [_counter(name, each) for name, each in sorted(attack["vectors"].items())],
            "AttackProperties": [source],
            "Mitigations": [{"MitigationName": name} for name in sorted(attack["vectors"])],
        }

    def _common(self, attack: Document) -> Output:
        made: Output = {"AttackId": attack["id"], "StartTime": attack["start"]}
        arn = self.arn(attack)
        made |= {"ResourceArn": arn} if arn else {}
        made |= {"EndTime": attack["end"]} if attack["end"] is not None else {}
        return made


def _counter(name: str, counts: dict[str, Any]) -> Output:
    seconds = max(1, counts["seconds"])
    return {
        "Name": FLOODS.get(name, OTHER),
        "Max": float(counts["max"]),
        "Average": counts["sum"] / seconds,
        "Sum": float(counts["sum"]),
        "N": counts["seconds"],
        "Unit": "REQUESTS" if name in FLOODS else "CONNECTIONS",
    }
