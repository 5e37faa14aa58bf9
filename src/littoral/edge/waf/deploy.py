"""From the feed's state to guards: each web ACL compiled once, as long as nothing of it changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from littoral.edge.geo import Locator
from littoral.edge.plan import Plan
from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.webacl import Managed, WebAcl, compile_acl


class Deployment:
    """Keeps what it compiled by the digest of its bundle."""

    def __init__(self, firewall: Firewall, *, locator: Locator | None = None, managed: Managed | None = None) -> None:
        self.firewall = firewall
        self._locator = locator
        self._managed = managed
        self._compiled: dict[str, WebAcl] = {}

    def prepare(self, state: Mapping[str, Any], plans: Mapping[str, Plan]) -> Callable[[], None]:
        """Compile; what is returned puts it to use. Raises what ``compile_acl`` does: then nothing has changed, and a
        distribution is never served without the web ACL that it names."""
        bundles = state.get("webacls") or {}
        compiled: dict[str, WebAcl] = {}
        guards: dict[str, Guard] = {}
        for each in state["distributions"]:
            arn = each["config"].get("WebACLId")
            if not arn:
                continue
            bundle = bundles[arn]
            acl = compiled[arn] if arn in compiled else self._acl(bundle)
            compiled[arn] = acl
            guard = Guard(acl, each["id"], bundle.get("logging"))
            plan = plans[each["id"]]
            guards |= dict.fromkeys((plan.domain.lower(), *plan.aliases), guard)

        def use() -> None:
            self._compiled = {_digest(bundles[arn]): acl for arn, acl in compiled.items()}
            self.firewall.use(guards)

        return use

    def _acl(self, bundle: Mapping[str, Any]) -> WebAcl:
        known = self._compiled.get(_digest(bundle))
        if known is not None:
            return known
        return compile_acl(bundle, limits=self.firewall.limits, locator=self._locator, managed=self._managed)


def _digest(bundle: Mapping[str, Any]) -> str:
    parts = {name: value for name, value in bundle.items() if name != "logging"}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
