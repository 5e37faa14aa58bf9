"""Labels: how they are named, and how a statement looks for them ("Labels on web requests", AWS WAF guide)."""

from __future__ import annotations

from collections.abc import Callable

from littoral.edge.waf.view import View

PREFIX = "awswaf:"


def namespace(account: str, kind: str, name: str) -> str:
    """``awswaf:111122223333:webacl:shop:``; ``kind`` is webacl or rulegroup."""
    return f"{PREFIX}{account}:{kind}:{name}:"


def label_test(scope: str, key: str, own: str) -> Callable[[View], bool]:
    """A key that is not fully qualified is looked for in the namespace ``own`` of the rule's own context."""
    full = key if key.startswith(PREFIX) else own + key
    if scope == "LABEL":
        return lambda view: full in view.labels
    start = full if full.endswith(":") else full + ":"
    return lambda view: any(label.startswith(start) for label in view.labels)
