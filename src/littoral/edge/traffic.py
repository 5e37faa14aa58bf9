"""What one distribution did at this location since it started: requests by result, errors, bytes, the origin's time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from littoral.net.message import Answer, FileSlice, Headers, Request, Response


@dataclass(slots=True)
class Traffic:
    """Counted by ``count``, and where a hit is answered from memory by the hot path itself (``hits`` and ``bytes``)."""

    hits: int = 0  # of the hot path; the others are in results
    results: Counter[str] = field(default_factory=Counter)  # by the first word of X-Cache
    failures: Counter[int] = field(default_factory=Counter)  # answers of 400 and more, by status
    bytes: int = 0  # of bodies, as far as their length is known when they begin
    uploaded: int = 0  # bytes of viewers' bodies, as far as they say their length
    origin_requests: int = 0
    origin_seconds: float = 0.0  # until heads of responses came

    def count(self, answer: Answer, request: Request) -> None:
        if request.method not in {"GET", "HEAD"}:
            self.uploaded += _said(request.headers)
        if not isinstance(answer, Response):
            self.results["Upgrade"] += 1
            return
        prepared = answer.prepared is not None  # which only a hit is
        result = "Hit" if prepared else (answer.headers.get("x-cache") or "").partition(" ")[0]
        self.results[result or "Other"] += 1
        if answer.status >= 400:
            self.failures[answer.status] += 1
        if request.method != "HEAD":
            self.bytes += _length(answer)

    def passed(self, result: str, status: int, size: int, seconds: float) -> None:
        """All of it of a relayed GET."""
        self.results[result] += 1
        if status >= 400:
            self.failures[status] += 1
        self.bytes += size
        self.origin_requests += 1
        self.origin_seconds += seconds

    def asked(self, seconds: float) -> None:
        """An origin answered."""
        self.origin_requests += 1
        self.origin_seconds += seconds

    @property
    def errors(self) -> dict[str, int]:
        """4xx, 5xx."""
        found: Counter[str] = Counter()
        for status, count in self.failures.items():
            found["5xx" if status >= 500 else "4xx"] += count
        return found

    @property
    def error_ratio(self) -> float:
        """Answers of 400 and more of all requests; 0 before the first."""
        total = sum(self.requests.values())
        return sum(self.failures.values()) / total if total else 0.0

    @property
    def requests(self) -> dict[str, int]:
        """By result."""
        return {**self.results, "Hit": self.results["Hit"] + self.hits}

    @property
    def hit_ratio(self) -> float:
        """Hits and refreshed hits of all requests; 0 before the first."""
        requests = self.requests
        total = sum(requests.values())
        return (requests["Hit"] + requests.get("RefreshHit", 0)) / total if total else 0.0


def _length(answer: Response) -> int:
    if isinstance(answer.body, bytes):
        return len(answer.body)
    if isinstance(answer.body, FileSlice):
        return answer.body.length
    return _said(answer.headers)


def _said(headers: Headers) -> int:
    text = headers.get("content-length") or ""
    return int(text) if text.isdecimal() and len(text) < 19 else 0
