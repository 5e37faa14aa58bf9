"""CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables. What they do is done when they answer."""

from __future__ import annotations

import uuid
from typing import Any

import apsw

from littoral.aws.service import Call, Output
from littoral.protocols.dynamodb.errors import Invalid
from littoral.tables import changes
from littoral.tables.api.alterations import check_one_at_a_time, label, with_index, with_stream
from littoral.tables.api.definitions import Definition, new_index, stream_view, throughput_of
from littoral.tables.api.descriptions import described, mark_changing
from littoral.tables.api.parts import Operations
from littoral.tables.api.settings import check_tags
from littoral.tables.errors import answers, no_such_table
from littoral.tables.table import Table

LISTED = 100
LEFT = frozenset(  # of a table that is being deleted
    (
        "TableName",
        "TableStatus",
        "TableArn",
        "TableId",
        "ItemCount",
        "TableSizeBytes",
        "ProvisionedThroughput",
        "BillingModeSummary",
    )
)


class TableOperations(Operations):
    @answers(
        notes="throughput is kept and not enforced; SSESpecification by KMS is refused",
        harmless={"WarmThroughput"},
    )
    async def create_table(
        self,
        call: Call,
        *,
        table_name: str,
        attribute_definitions: list[dict[str, str]] | None = None,
        key_schema: list[dict[str, str]] | None = None,
        local_secondary_indexes: list[dict[str, Any]] | None = None,
        global_secondary_indexes: list[dict[str, Any]] | None = None,
        billing_mode: str | None = None,
        provisioned_throughput: dict[str, int] | None = None,
        stream_specification: dict[str, Any] | None = None,
        sse_specification: dict[str, Any] | None = None,
        tags: list[dict[str, str]] | None = None,
        table_class: str | None = None,
        deletion_protection_enabled: bool = False,
    ) -> Output:
        name = self._parts.name_of(table_name)
        _check_encryption(sse_specification)
        definition = Definition(
            attribute_definitions,
            key_schema,
            local_secondary_indexes,
            global_secondary_indexes,
            billing_mode,
            provisioned_throughput,
        )
        view = stream_view(stream_specification)
        given_tags = check_tags(tags or [])

        def make(connection: apsw.Connection, number: int) -> Table:
            uid = uuid.uuid4().hex
            return Table(
                number,
                name,
                uid,
                call.now,
                definition.schema,
                definition.types,
                tuple(
                    new_index(connection, number, each, definition.types, definition.billing)
                    for each in definition.indexes
                ),
                definition.billing,
                call.now if definition.billing == "PAY_PER_REQUEST" else None,
                definition.throughput,
                changes.begin(connection, uid, label(call.now), view, call.now) if view is not None else None,
                protected=deletion_protection_enabled,
                table_class=table_class,
                tags=given_tags,
            )

        table = await self._index.create(make, name)
        return {"TableDescription": described(self._parts, table, status="CREATING")}

    @answers()
    async def describe_table(self, call: Call, *, table_name: str) -> Output:
        return {"Table": described(self._parts, self._described(table_name))}

    @answers()
    async def delete_table(self, call: Call, *, table_name: str) -> Output:
        table = self._described(table_name)
        if table.protected:
            raise Invalid(
                f"Resource cannot be deleted as it is currently protected against deletion. "
                f"Disable deletion protection first: {self._parts.arn(table.name)}"
            )
        shown = {member: value for member, value in described(self._parts, table, "DELETING").items() if member in LEFT}
        await self._index.remove(table)
        return {"TableDescription": shown}

    @answers()
    async def list_tables(
        self, call: Call, *, exclusive_start_table_name: str | None = None, limit: int | None = None
    ) -> Output:
        if limit is not None and not 1 <= limit <= LISTED:
            raise Invalid(f"Limit must be from 1 to {LISTED}")
        after = self._parts.name_of(exclusive_start_table_name) if exclusive_start_table_name is not None else ""
        names = [table.name for table in self._index.tables() if table.name > after]
        shown = names[: limit or LISTED]
        return {"TableNames": shown, **({"LastEvaluatedTableName": shown[-1]} if len(names) > len(shown) else {})}

    @answers(
        notes="throughput is kept and not enforced; one index at a time is made or deleted, as in AWS",
        harmless={"WarmThroughput"},
    )
    async def update_table(
        self,
        call: Call,
        *,
        table_name: str,
        attribute_definitions: list[dict[str, str]] | None = None,
        billing_mode: str | None = None,
        provisioned_throughput: dict[str, int] | None = None,
        global_secondary_index_updates: list[dict[str, Any]] | None = None,
        stream_specification: dict[str, Any] | None = None,
        sse_specification: dict[str, Any] | None = None,
        table_class: str | None = None,
        deletion_protection_enabled: bool | None = None,
    ) -> Output:
        table = self._described(table_name)
        _check_encryption(sse_specification)
        given = (
            *(billing_mode, provisioned_throughput, global_secondary_index_updates, stream_specification),
            *(table_class, deletion_protection_enabled),
        )
        if all(each in (None, []) for each in given):
            raise Invalid(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
                "GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"
            )
        check_one_at_a_time(global_secondary_index_updates or [])
        types = {each["AttributeName"]: each["AttributeType"] for each in attribute_definitions or []}

        def work(connection: apsw.Connection, found: Table) -> Table:
            if billing_mode is not None and billing_mode != found.billing:
                since = call.now if billing_mode == "PAY_PER_REQUEST" else found.billed_since
                found = found.changed(billing=billing_mode, billed_since=since)
            if provisioned_throughput is not None:
                found = found.changed(throughput=throughput_of(provisioned_throughput))
            if stream_specification is not None:
                found = with_stream(connection, found, stream_specification, call.now)
            if deletion_protection_enabled is not None:
                found = found.changed(protected=deletion_protection_enabled)
            if table_class is not None:
                found = found.changed(table_class=table_class)
            for each in global_secondary_index_updates or []:
                found = with_index(connection, found, each, types)
            return found

        changed = await self._index.change(table, work, heavy=bool(global_secondary_index_updates))
        shown = described(self._parts, changed, status="UPDATING")
        mark_changing(shown, global_secondary_index_updates or [])
        return {"TableDescription": shown}

    def _described(self, given: str) -> Table:
        """Raises ResourceNotFoundException, in DescribeTable's words."""
        name = self._parts.name_of(given)
        found = self._index.find(name)
        if found is None:
            raise no_such_table(name)
        return found


def _check_encryption(given: dict[str, Any] | None) -> None:
    if given and (given.get("Enabled") or given.get("KMSMasterKeyId")):
        raise Invalid("One or more parameter values were invalid: encryption by KMS is not available in this place")
