"""``*`` and ``?``, the only wildcards of a policy."""

from __future__ import annotations

import re


def wildcard(pattern: str) -> str:
    """The regular expression of a pattern with ``*`` and ``?``. Each inner part is matched atomically at its first
    place, which is enough for such patterns and keeps the time linear where ``.*a.*a.*a`` would not."""
    parts = [re.escape(part).replace(r"\?", "(?s:.)") for part in re.split(r"\*+", pattern)]
    if len(parts) == 1:
        return parts[0]
    inner = "".join(f"(?>(?s:.*?){part})" for part in parts[1:-1])
    return f"{parts[0]}{inner}(?s:.*){parts[-1]}"


def like(value: str, wanted: str) -> bool:
    return re.compile(wildcard(wanted)).fullmatch(value) is not None
