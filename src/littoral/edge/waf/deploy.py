"""From the feed's state to guards: each web ACL compiled once, as long as nothing of it changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from littoral.edge.geo import Locator
from littoral.edge.plan import Plan
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.reports import RULESET
from littoral.edge.waf.webacl import WebAcl, compile_acl
from littoral.store.contract import Records
from littoral.store.documents import Documents

Ask = Callable[..., Awaitable[bytes]]  # Region.ask


class Deployment:
    """Keeps what it compiled by the digest of its bundle."""

    def __init__(self, firewall: Firewall, *, locator: Locator | None = None, records: Records | None = None) -> None:
        self.firewall = firewall
        self._locator = locator
        self._stored = Documents(records, "ruleset/") if records is not None else None
        self._groups: Groups | None = None
        self._compiled: dict[str, WebAcl] = {}

    async def fetch(self, state: Mapping[str, Any], ask: Ask) -> None:
        """The rule set that the state's managed groups are made of: from disk, else from the region. Raises what
        ``ask`` does, ValueError for one that is not what its digest says."""
        digest = next((each["ruleset"] for each in (state.get("webacls") or {}).values() if each.get("ruleset")), None)
        if digest is None or (self._groups is not None and self._groups.source.digest == digest):
            return
        kept = await self._stored.get("source") if self._stored is not None else None
        source = Source(kept["files"]) if kept is not None else None
        if source is None or source.digest != digest:
            source = Source(json.loads(await ask("GET", RULESET + digest, wait=60.0)))
            if source.digest != digest:
                raise ValueError("the rule set does not have the digest that the state names")
            if self._stored is not None:
                await self._stored.put("source", {"files": dict(source.files)})
        self._groups = Groups(source)

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
            self.firewall.use(guards, {name for plan in plans.values() for name in plan.names} - set(guards))

        return use

    def _acl(self, bundle: Mapping[str, Any]) -> WebAcl:
        known = self._compiled.get(_digest(bundle))
        if known is not None:
            return known
        managed = self._groups.step if self._groups is not None else None
        return compile_acl(bundle, limits=self.firewall.limits, locator=self._locator, managed=managed)


def _digest(bundle: Mapping[str, Any]) -> str:
    parts = {name: value for name, value in bundle.items() if name != "logging"}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
