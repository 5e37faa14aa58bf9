"""IP sets and regex pattern sets."""

from __future__ import annotations

import ipaddress
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.edge.waf.api.parts import Operations, associated, described, exceeded, invalid
from littoral.edge.waf.bundles import references
from littoral.edge.waf.patterns import BadPattern, check

MOST_ADDRESSES, MOST_PATTERNS = 10000, 10


def check_addresses(version: str, addresses: list[str]) -> None:
    if len(addresses) > MOST_ADDRESSES:
        raise exceeded(f"{MOST_ADDRESSES} addresses of an IP set")
    for block in addresses:
        try:
            network = ipaddress.ip_network(block, strict=False)
        except ValueError:
            network = None
        if network is None or "/" not in block or network.version != int(version[-1]) or network.prefixlen == 0:
            raise invalid("The parameter contains formatting that is not valid.", "IP_ADDRESS", block)


def check_patterns(patterns: list[dict[str, Any]]) -> None:
    if len(patterns) > MOST_PATTERNS:
        raise exceeded(f"{MOST_PATTERNS} patterns of a regex pattern set")
    for each in patterns:
        check_pattern(each.get("RegexString") or "", "REGEX_PATTERN_SET")


def check_pattern(pattern: str, field: str) -> None:
    """Raises WAFInvalidParameterException for what is no expression, as AWS does for the parts of PCRE it lacks."""
    if not pattern:
        raise invalid("The pattern is empty", field, pattern)
    try:
        check(pattern.encode())
    except BadPattern as problem:
        raise invalid(f"The regular expression is not valid: {problem}", field, pattern) from problem


class SetOperations(Operations):
    def _check_unused(self, arn: str) -> None:
        for kind in ("waf-webacl", "waf-rulegroup"):
            for entity in self._control.all(kind).values():
                if any(arn == each for _, each in references(entity["document"].get("Rules") or [])):
                    raise associated(entity["arn"])

    @operation()
    async def create_ip_set(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        ip_address_version: str,
        addresses: list[str],
        description: str | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Output:
        check_addresses(ip_address_version, addresses)
        document = {"IPAddressVersion": ip_address_version, "Addresses": addresses}
        async with self._control.changing:
            return await self._create("ipset", scope, name, description, document, tags)

    @operation()
    async def get_ip_set(self, call: Call, *, name: str, scope: str, id: str) -> Output:
        entity = self._named("ipset", scope, name, id)
        return {"IPSet": described(entity), "LockToken": entity["lock"]}

    @operation()
    async def update_ip_set(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        id: str,
        addresses: list[str],
        lock_token: str,
        description: str | None = None,
    ) -> Output:
        async with self._control.changing:
            entity = self._named("ipset", scope, name, id)
            version = entity["document"]["IPAddressVersion"]
            check_addresses(version, addresses)
            document = {"IPAddressVersion": version, "Addresses": addresses}
            return await self._update("ipset", entity, lock_token, description, document)

    @operation()
    async def delete_ip_set(self, call: Call, *, name: str, scope: str, id: str, lock_token: str) -> Output:
        async with self._control.changing:
            entity = self._named("ipset", scope, name, id)
            self._check_unused(entity["arn"])
            return await self._delete("ipset", entity, lock_token)

    @operation()
    async def list_ip_sets(self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100) -> Output:
        listed, more = self._listed("ipset", scope, next_marker, limit)
        return {"IPSets": listed, **more}

    @operation(notes="expressions are RE2's: without look-around and back references")
    async def create_regex_pattern_set(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        regular_expression_list: list[dict[str, Any]],
        description: str | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Output:
        check_patterns(regular_expression_list)
        document = {"RegularExpressionList": regular_expression_list}
        async with self._control.changing:
            return await self._create("regexpatternset", scope, name, description, document, tags)

    @operation()
    async def get_regex_pattern_set(self, call: Call, *, name: str, scope: str, id: str) -> Output:
        entity = self._named("regexpatternset", scope, name, id)
        return {"RegexPatternSet": described(entity), "LockToken": entity["lock"]}

    @operation()
    async def update_regex_pattern_set(
        self,
        call: Call,
        *,
        name: str,
        scope: str,
        id: str,
        regular_expression_list: list[dict[str, Any]],
        lock_token: str,
        description: str | None = None,
    ) -> Output:
        async with self._control.changing:
            entity = self._named("regexpatternset", scope, name, id)
            check_patterns(regular_expression_list)
            document = {"RegularExpressionList": regular_expression_list}
            return await self._update("regexpatternset", entity, lock_token, description, document)

    @operation()
    async def delete_regex_pattern_set(self, call: Call, *, name: str, scope: str, id: str, lock_token: str) -> Output:
        async with self._control.changing:
            entity = self._named("regexpatternset", scope, name, id)
            self._check_unused(entity["arn"])
            return await self._delete("regexpatternset", entity, lock_token)

    @operation()
    async def list_regex_pattern_sets(
        self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        listed, more = self._listed("regexpatternset", scope, next_marker, limit)
        return {"RegexPatternSets": listed, **more}
