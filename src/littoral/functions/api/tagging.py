"""TagResource, UntagResource, ListTags: of functions and of event source mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.functions import validation
from littoral.functions.api.parts import Operations

Tags = Mapping[str, str]


class TagOperations(Operations):
    @operation()
    async def tag_resource(self, call: Call, *, resource: str, tags: dict[str, str]) -> Output:
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
            return {"Tags": dict(self._parts.mappings.get(mapping).tags)}
        return {"Tags": dict(self._catalog.get(self._unqualified(resource).name).tags)}

    async def _retag(self, resource: str, change: Callable[[Tags], Tags]) -> None:
        mapping = self._home.mapping_of(resource)
        if mapping is not None:
            async with self._catalog.lock(self._parts.mappings.get(mapping).function):
                present = self._parts.mappings.get(mapping)
                await self._parts.mappings.change(replace(present, tags=_checked(change(present.tags))))
            return
        reference = self._unqualified(resource)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            await self._catalog.save(replace(function, tags=_checked(change(function.tags))))


def _checked(tags: Tags) -> dict[str, str]:
    validation.check_tags(tags)
    return dict(tags)
