"""What a table has beside its items: time to live, tags; and what describes the place."""

from __future__ import annotations

import re
from typing import Any

import apsw

from littoral.aws.service import Call, Output, ServiceError
from littoral.protocols.dynamodb.errors import Invalid
from littoral.tables import entries
from littoral.tables.api.parts import Operations
from littoral.tables.errors import answers
from littoral.tables.table import Table

MOST_TAGS = 50
_TAG = re.compile(r"[\w +=.:/@-]*")


class SettingOperations(Operations):
    @answers()
    async def update_time_to_live(
        self, call: Call, *, table_name: str, time_to_live_specification: dict[str, Any]
    ) -> Output:
        name, enabled = time_to_live_specification["AttributeName"], time_to_live_specification["Enabled"]
        table = self._parts.table(table_name)
        if not 1 <= len(name) <= 255:
            raise Invalid("TimeToLiveSpecification.AttributeName has 1 to 255 characters")

        def work(connection: apsw.Connection, found: Table) -> Table:
            if enabled and found.ttl is not None:
                raise Invalid("TimeToLive is already enabled")
            if not enabled and found.ttl != name:
                wrong = (
                    "TimeToLive is already disabled"
                    if found.ttl is None
                    else (f"TimeToLive is active on a different AttributeName: current AttributeName is {found.ttl}")
                )
                raise Invalid(wrong)
            changed = found.changed(ttl=name if enabled else None)
            if enabled:
                entries.fill_expiries(connection, changed)
            else:
                connection.execute("DELETE FROM expiries WHERE tab = ?", (found.id,))
            return changed

        await self._index.change(table, work, heavy=True)
        self._index.expiring.set()
        return {"TimeToLiveSpecification": {"AttributeName": name, "Enabled": enabled}}

    @answers()
    async def describe_time_to_live(self, call: Call, *, table_name: str) -> Output:
        name = self._parts.table(table_name).ttl
        shown: Output = {"TimeToLiveStatus": "DISABLED"}
        if name is not None:
            shown = {"TimeToLiveStatus": "ENABLED", "AttributeName": name}
        return {"TimeToLiveDescription": shown}

    @answers()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        table = self._parts.by_arn(resource_arn)
        given = check_tags(tags)
        if not given:
            raise Invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: at least one tag")

        def work(_: apsw.Connection, found: Table) -> Table:
            merged = {**found.tags, **given}
            if len(merged) > MOST_TAGS:
                raise Invalid(
                    f"One or more parameter values were invalid: Too many tags: a table has at most {MOST_TAGS}"
                )
            return found.changed(tags=merged)

        await self._index.change(table, work)
        return {}

    @answers()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        table = self._parts.by_arn(resource_arn)
        if not tag_keys:
            raise Invalid(
                "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: at least one key"
            )

        def work(_: apsw.Connection, found: Table) -> Table:
            return found.changed(tags={key: value for key, value in found.tags.items() if key not in tag_keys})

        await self._index.change(table, work)
        return {}

    @answers()
    async def list_tags_of_resource(self, call: Call, *, resource_arn: str, next_token: str | None = None) -> Output:
        tags = self._parts.by_arn(resource_arn).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    @answers()
    async def describe_limits(self, call: Call) -> Output:
        return {
            "AccountMaxReadCapacityUnits": 80000,
            "AccountMaxWriteCapacityUnits": 80000,
            "TableMaxReadCapacityUnits": 40000,
            "TableMaxWriteCapacityUnits": 40000,
        }

    @answers()
    async def describe_endpoints(self, call: Call) -> Output:
        return {"Endpoints": [{"Address": call.request.host, "CachePeriodInMinutes": 1440}]}

    @answers(notes="backups are not there: it says that they are disabled")
    async def describe_continuous_backups(self, call: Call, *, table_name: str) -> Output:
        name = self._parts.name_of(table_name)
        if self._index.find(name) is None:
            raise ServiceError("TableNotFoundException", f"Table not found: {name}", status=400)
        return {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "DISABLED",
                "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
            }
        }


def check_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    """Raises Invalid."""
    found: dict[str, str] = {}
    for each in tags:
        key, value = each["Key"], each["Value"]
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise Invalid(
                "One or more parameter values were invalid: a tag's key has 1 to 128 characters, its value 256 at most"
            )
        if key.lower().startswith("aws:"):
            raise Invalid(
                f"One or more parameter values were invalid: Tag keys starting with 'aws:' are reserved: {key}"
            )
        if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise Invalid(f"One or more parameter values were invalid: a tag has characters that none may have: {key}")
        if key in found:
            raise Invalid(f"One or more parameter values were invalid: Duplicate tag key: {key}")
        found[key] = value
    if len(found) > MOST_TAGS:
        raise Invalid(f"One or more parameter values were invalid: Too many tags: a table has at most {MOST_TAGS}")
    return found
