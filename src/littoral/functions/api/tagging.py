"""TagResource, UntagResource, ListTags: of functions and of event source mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions import validation
from littoral.functions.api.parts import Operations
from littoral.functions.names import Reference, invalid, not_found
from littoral.functions.sources import SourceMapping

Tags = Mapping[str, str]


class TagOperations(Operations):
    @operation()
    async def tag_resource(self, call: Call, *, resource: str, tags: dict[str, str]) -> Output:
        if not tags:
            raise invalid("An error occurred and the request cannot be processed.")
        validation.check_tags(tags)
        await self._retag(resource, lambda present: {**present, **tags})
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource: str, tag_keys: list[str]) -> Output:
        await self._retag(
            resource, lambda present: {key: value for key, value in present.items() if key not in tag_keys}
        )
        return {}

    @operation()
    async def list_tags(self, call: Call, *, resource: str) -> Output:
        mapping = self._home.mapping_of(resource)
        if mapping is not None:
            return {"Tags": dict(self._mapping(mapping).tags)}
        return {"Tags": dict(self._catalog.get(self._tagged(resource).name).tags)}

    async def _retag(self, resource: str, change: Callable[[Tags], Tags]) -> None:
        mapping = self._home.mapping_of(resource)
        if mapping is not None:
            async with self._catalog.lock(self._mapping(mapping).function):
                present = self._mapping(mapping)
                await self._parts.mappings.change(replace(present, tags=_checked(change(present.tags))))
            return
        reference = self._tagged(resource)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            tags = _checked(change(function.tags))
            await self._catalog.save(replace(function, tags=tags, revisions=function.revised()))

    def _tagged(self, resource: str) -> Reference:
        reference = self._home.parse(resource)
        if reference.qualifier is not None:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        return reference

    def _mapping(self, uuid: str) -> SourceMapping:
        try:
            return self._parts.mappings.get(uuid)
        except ServiceError:
            raise not_found(f"Event source mapping not found: {self._home.mapping_arn(uuid)}") from None


def _checked(tags: Tags) -> dict[str, str]:
    validation.check_tags(tags)
    return dict(tags)
