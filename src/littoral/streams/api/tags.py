"""Tags of streams, by the two ways that Kinesis has: by stream, and by resource."""

from __future__ import annotations

from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.streams.catalog import Stream
from littoral.streams.errors import invalid
from littoral.streams.naming import Operations

MOST = 50


class TagOperations(Operations):
    @operation()
    async def add_tags_to_stream(
        self, call: Call, *, tags: dict[str, str], stream_name: str | None = None, stream_arn: str | None = None
    ) -> Output:
        return await self._add(self._parts.stream(stream_name, stream_arn), tags)

    @operation()
    async def remove_tags_from_stream(
        self, call: Call, *, tag_keys: list[str], stream_name: str | None = None, stream_arn: str | None = None
    ) -> Output:
        return await self._remove(self._parts.stream(stream_name, stream_arn), tag_keys)

    @operation()
    async def list_tags_for_stream(
        self,
        call: Call,
        *,
        stream_name: str | None = None,
        stream_arn: str | None = None,
        exclusive_start_tag_key: str | None = None,
        limit: int = MOST,
    ) -> Output:
        stream = self._parts.stream(stream_name, stream_arn)
        rest = [tag for tag in _shown(stream) if tag["Key"] > (exclusive_start_tag_key or "")]
        return {"Tags": rest[:limit], "HasMoreTags": len(rest) > limit}

    @operation()
    async def tag_resource(self, call: Call, *, tags: dict[str, str], resource_arn: str) -> Output:
        return await self._add(self._parts.by_arn(resource_arn), tags)

    @operation()
    async def untag_resource(self, call: Call, *, tag_keys: list[str], resource_arn: str) -> Output:
        return await self._remove(self._parts.by_arn(resource_arn), tag_keys)

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        return {"Tags": _shown(self._parts.by_arn(resource_arn))}

    async def _add(self, stream: Stream, tags: dict[str, str]) -> Output:
        def more(current: Stream) -> Stream:
            merged = {**current.tags, **tags}
            if len(merged) > MOST:
                raise invalid(f"A stream has at most {MOST} tags.")
            return replace(current, tags=merged)

        await self._parts.catalog.change(stream, more)
        return {}

    async def _remove(self, stream: Stream, keys: list[str]) -> Output:
        def less(current: Stream) -> Stream:
            return replace(current, tags={key: value for key, value in current.tags.items() if key not in keys})

        await self._parts.catalog.change(stream, less)
        return {}


def _shown(stream: Stream) -> list[dict[str, str]]:
    return [{"Key": key, "Value": stream.tags[key]} for key in sorted(stream.tags)]
