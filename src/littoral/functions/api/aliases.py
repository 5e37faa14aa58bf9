"""CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases; weighted routing between two versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions import validation
from littoral.functions.api.parts import PAGE, Operations, check_revision, page, with_marker
from littoral.functions.names import LATEST, conflict, invalid, is_alias, is_number, not_found
from littoral.functions.version import Alias, Function, new_revision

T = TypeVar("T")
# what goes with an alias, by its name
OF_AN_ALIAS = ("aliases", "provisioned", "urls", "policies", "event_configs", "revisions")


class AliasOperations(Operations):
    @operation()
    async def create_alias(
        self,
        call: Call,
        *,
        function_name: str,
        name: str,
        function_version: str,
        description: str = "",
        routing_config: dict[str, Any] | None = None,
    ) -> Output:
        if not is_alias(name):
            raise validation.validation_error(
                name[:128], "name", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
            )
        validation.check_description(description)
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.find(reference.name)
            if function is None:
                raise not_found(f"Function not found: {self._home.arn(reference.name, function_version)}")
            if name in function.aliases:
                raise conflict(f"Alias already exists: {self._home.arn(function.name, name)}")
            self._check_version(function, function_version)
            weights = self._weights(function, function_version, routing_config)
            alias = Alias(name, function_version, description, weights, new_revision())
            function = replace(function, aliases={**function.aliases, name: alias})
            await self._catalog.save(function)
            return self._shown_alias(function, alias)

    @operation()
    async def get_alias(self, call: Call, *, function_name: str, name: str) -> Output:
        function = self._catalog.get(self._unqualified(function_name).name)
        return self._shown_alias(function, self._alias(function, name))

    @operation()
    async def update_alias(
        self,
        call: Call,
        *,
        function_name: str,
        name: str,
        function_version: str | None = None,
        description: str | None = None,
        routing_config: dict[str, Any] | None = None,
        revision_id: str | None = None,
    ) -> Output:
        validation.check_description(description)
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            alias = function.aliases.get(name)
            if alias is None:
                raise not_found(f"Alias not found: {self._home.arn(function.name, name)}")
            check_revision(revision_id, function.revision(name))
            version = function_version or alias.version
            self._check_version(function, version)
            changed = replace(
                alias,
                version=version,
                description=alias.description if description is None else description,
                weights=alias.weights if routing_config is None else self._weights(function, version, routing_config),
                revision_id=new_revision(),
            )
            if version in changed.weights:
                raise _included(version)
            aliases = {**function.aliases, name: changed}
            function = replace(function, aliases=aliases, revisions=_without(function.revisions, name))
            await self._catalog.save(function)
            self._parts.provisioner.changed()
            return self._shown_alias(function, changed)

    @operation()
    async def delete_alias(self, call: Call, *, function_name: str, name: str) -> Output:
        """Succeeds when there is no such alias, as AWS does."""
        reference = self._unqualified(function_name)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            if name in function.aliases:
                left: dict[str, Any] = {member: _without(getattr(function, member), name) for member in OF_AN_ALIAS}
                await self._catalog.save(replace(function, **left))
                self._parts.provisioner.changed()
        return {}

    @operation()
    async def list_aliases(
        self,
        call: Call,
        *,
        function_name: str,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int = PAGE,
    ) -> Output:
        function = self._catalog.get(self._unqualified(function_name).name)
        aliases = sorted(function.aliases.values(), key=lambda alias: alias.name)
        aliases = [alias for alias in aliases if function_version in (None, alias.version)]
        shown, following = page(aliases, lambda alias: alias.name, marker, min(max_items, PAGE))
        return with_marker({"Aliases": [self._shown_alias(function, alias) for alias in shown]}, following)

    def _alias(self, function: Function, name: str) -> Alias:
        if name not in function.aliases:
            raise not_found(f"Cannot find alias arn: {self._home.arn(function.name, name)}")
        return function.aliases[name]

    def _check_version(self, function: Function, version: str) -> None:
        if version == LATEST:
            return
        if not is_number(version) or int(version) not in function.versions:
            raise not_found(f"Function not found: {self._home.arn(function.name, version)}")

    def _weights(self, function: Function, version: str, routing: dict[str, Any] | None) -> dict[str, float]:
        weights: dict[str, float] = dict((routing or {}).get("AdditionalVersionWeights") or {})
        if not weights:
            return {}
        if version == LATEST:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if len(weights) > 1:
            raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
        for other, weight in weights.items():
            if other == version:
                raise _included(other)
            self._check_version(function, other)
            if not 0.0 <= weight <= 1.0:
                raise invalid(f"AdditionalVersionWeights of {other} must be between 0.0 and 1.0")
        return weights

    def _shown_alias(self, function: Function, alias: Alias) -> Output:
        shown: Output = {
            "AliasArn": self._home.arn(function.name, alias.name),
            "Name": alias.name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RevisionId": function.revision(alias.name),
        }
        if alias.weights:
            shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
        return shown


def _included(version: str) -> ServiceError:
    return invalid(
        f"Invalid function version {version}. Function version {version} is already included in routing configuration."
    )


def _without(known: dict[str, T], name: str) -> dict[str, T]:
    return {each: value for each, value in known.items() if each != name}
