"""How often each function is in a chain of calls: the Lineage of the X-Ray header, which AWS's SDKs pass on.

``Root=1-…;Parent=…;Sampled=0;Lineage=a87bd80c:1|68fd508a:5``: eight digits of a function, and how often it was called
("Use Lambda recursive loop detection to prevent infinite loops"). A caller without a header begins a chain. Pure.
"""

from __future__ import annotations

import hashlib
import re

from littoral.aws.service import ServiceError

MOST = 16  # calls of one function in a chain: AWS stops it after about so many
_MEMBER = r";Lineage=[0-9a-f:|]{0,300}|;[A-Za-z]{1,20}=[A-Za-z0-9_:-]{0,100}"
TRACE = re.compile(rf"Root=1-[0-9a-f]{{8}}-[0-9a-f]{{24}}({_MEMBER}){{0,5}}")
_LINEAGE = re.compile(r";Lineage=([^;]*)")
_ENTRY = re.compile(r"(?:\d+:)?([0-9a-f]{8}):(\d{1,4})")
_REMEMBERED = 20  # functions of a chain, the latest


def trace_of(header: str | None) -> str:
    """An X-Amzn-Trace-Id that came with a call, "" when there is none or it has not its form (X-Ray: "Tracing
    header")."""
    return header if header is not None and TRACE.fullmatch(header) else ""


def followed(trace: str, function: str) -> tuple[str, int]:
    """The header with this call of ``function`` in it, and how often the chain has called it."""
    if not trace:
        return "", 0
    entries, name = _entries(trace), _short(function)
    count = min(9999, int(entries.pop(name, 0)) + 1)
    entries[name] = str(count)
    latest = list(entries.items())[-_REMEMBERED:]
    lineage = ";Lineage=" + "|".join(f"{each}:{times}" for each, times in latest)
    return _LINEAGE.sub("", trace) + lineage, count


def calls(trace: str, function: str) -> int:
    """How often the chain has called the function."""
    return int(_entries(trace).get(_short(function), 0))


def _entries(trace: str) -> dict[str, str]:
    found = _LINEAGE.search(trace)
    return dict(_ENTRY.findall(found[1])) if found is not None else {}


def _short(function: str) -> str:
    return hashlib.sha256(function.encode()).hexdigest()[:8]


def recursive() -> ServiceError:
    return ServiceError(
        "RecursiveInvocationException",
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources "
        "and stopped your function's invocation.",
        status=400,
        fields={"Type": "User"},
    )
