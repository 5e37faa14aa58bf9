"""Samples of what rules decided, for GetSampledRequests, and how often each decided it.

Two sides. At an edge location ``Sampler`` counts every decision and keeps the facts of the first few of each tick; the
region's ``Samples`` keeps what locations report for three hours, in memory: a sample is not a record.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from littoral.edge.waf.challenge import STATUS
from littoral.edge.waf.verdict import Mark, Verdict
from littoral.edge.waf.view import UNSET, View

A_TICK = 20  # samples of one metric of one ACL between two reports
KEPT = 5000  # samples of one metric in the region
LONGEST = 3 * 3600  # seconds
MOST_HEADERS, LONGEST_VALUE = 50, 256


@dataclass(slots=True)
class Batch:
    """Of one metric since the last report."""

    count: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)


class Sampler:
    """The location's side."""

    def __init__(self) -> None:
        self._batches: dict[tuple[str, str], Batch] = {}
        self.decisions: Counter[tuple[str, str, str]] = Counter()  # ACL, rule, action: for /metrics

    def note(self, acl: str, arn: str, view: View, verdict: Verdict) -> None:
        """Of a request: its verdict, and each rule that matched and let it go on."""
        self._note(acl, arn, verdict.mark, view, verdict)
        for mark in view.matched:
            self._note(acl, arn, mark, view, verdict)

    def passed(self, acl: str, arn: str, verdict: Verdict, count: int) -> None:
        """Further requests of the same, of which no sample is taken."""
        mark = verdict.mark
        self.decisions[acl, mark.rule, verdict.action] += count
        if mark.sampled:
            batch = self._batches.setdefault((arn, mark.metric), Batch())
            batch.count += count

    def _note(self, acl: str, arn: str, mark: Mark, view: View, verdict: Verdict) -> None:
        self.decisions[acl, mark.rule, verdict.action if mark is verdict.mark else "COUNT"] += 1
        if not mark.sampled:
            return
        batch = self._batches.get((arn, mark.metric))
        if batch is None:
            batch = self._batches[arn, mark.metric] = Batch()
        batch.count += 1
        if len(batch.samples) < A_TICK:
            batch.samples.append(sample(mark, view, verdict))

    def take(self) -> list[dict[str, Any]]:
        """What there is since the last time."""
        found = [
            {"arn": arn, "metric": metric, "count": batch.count, "samples": batch.samples}
            for (arn, metric), batch in self._batches.items()
        ]
        self._batches = {}
        return found


def sample(mark: Mark, view: View, verdict: Verdict) -> dict[str, Any]:
    """SampledHTTPRequest, with the time as seconds."""
    counted = mark is not verdict.mark
    made: dict[str, Any] = {
        "Request": {
            "ClientIP": view.ip,
            "Country": view.country,
            "URI": view.request.target,
            "Method": view.request.method,
            "HTTPVersion": f"HTTP/{view.request.peer.http_version or view.request.http_version}",
            "Headers": [
                {"Name": name.decode("latin-1"), "Value": value[:LONGEST_VALUE].decode("latin-1")}
                for name, value in view.raw[:MOST_HEADERS]
            ],
        },
        "Weight": 1,
        "Timestamp": view.now,
        "Action": "COUNT" if counted else verdict.action,
    }
    if mark.inner:
        made["RuleNameWithinRuleGroup"] = mark.inner
    if view.inserted:
        made["RequestHeadersInserted"] = [{"Name": name, "Value": value} for name, value in view.inserted]
    if verdict.reply is not None and not counted:
        made["ResponseCodeSent"] = verdict.reply.status
    if view.labels:
        made["Labels"] = [{"Name": label} for label in view.labels]
    if view.token is not UNSET:
        for kind, member in (("captcha", "CaptchaResponse"), ("challenge", "ChallengeResponse")):
            made |= {member: _token(kind, view)} if mark.action == kind.upper() else {}
    return made


def _token(kind: str, view: View) -> dict[str, Any]:
    moment = getattr(view.token, kind)
    if moment is None:
        return {"ResponseCode": STATUS[kind], "FailureReason": view.token.failure}
    return {"ResponseCode": 200, "SolveTimestamp": int(moment)}


class Samples:
    """The region's side."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], deque[tuple[float, int, list[dict[str, Any]]]]] = {}

    def add(self, report: Mapping[str, Any], now: float) -> None:
        """One entry of a location's report."""
        key = str(report["arn"]), str(report["metric"])
        kept = self._found.setdefault(key, deque())
        kept.append((now, int(report["count"]), list(report["samples"])))
        while kept and (kept[0][0] < now - LONGEST or sum(len(each[2]) for each in kept) > KEPT):
            kept.popleft()

    def find(self, arn: str, metric: str, start: float, end: float, most: int) -> tuple[list[dict[str, Any]], int]:
        """Samples of that time, each with its share of the requests as its weight; and how many requests there were."""
        entries = [each for each in self._found.get((arn, metric), ()) if start <= each[0] <= end]
        population = sum(count for _, count, _ in entries)
        found = [item for item in self._weighted(entries) if start <= item["Timestamp"] <= end]
        return found[:most], population

    def _weighted(self, entries: list[tuple[float, int, list[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
        for _, count, samples in entries:
            for item in samples:
                yield {**item, "Weight": max(1, count // len(samples))}

    def forget(self, arn: str) -> None:
        """The ACL is gone."""
        for key in [key for key in self._found if key[0] == arn]:
            del self._found[key]
