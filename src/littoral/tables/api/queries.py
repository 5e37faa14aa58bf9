"""Query and Scan."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output
from littoral.protocols.dynamodb import legacy
from littoral.protocols.dynamodb.bindings import Bindings, Steps
from littoral.protocols.dynamodb.conditions import Test, compile_filter
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keycondition import compile_key_condition
from littoral.protocols.dynamodb.keys import Schema, segment
from littoral.protocols.dynamodb.projections import Projection, compile_projection, projection
from littoral.protocols.dynamodb.projections import attributes as named
from littoral.protocols.dynamodb.values import Item
from littoral.tables import capacity, checks
from littoral.tables.api.items import check_mixed
from littoral.tables.api.parts import Operations
from littoral.tables.errors import answers, not_of_the_table
from littoral.tables.reading import Wanted, check_within, page
from littoral.tables.table import SecondaryIndex, Table


class QueryOperations(Operations):
    @answers()
    async def query(
        self,
        call: Call,
        *,
        table_name: str,
        index_name: str | None = None,
        select: str | None = None,
        attributes_to_get: list[str] | None = None,
        limit: int | None = None,
        consistent_read: bool = False,
        key_conditions: dict[str, Any] | None = None,
        query_filter: dict[str, Any] | None = None,
        conditional_operator: str | None = None,
        scan_index_forward: bool = True,
        exclusive_start_key: Item | None = None,
        return_consumed_capacity: str | None = None,
        projection_expression: str | None = None,
        filter_expression: str | None = None,
        key_condition_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
    ) -> Output:
        check_mixed(
            {
                "AttributesToGet": attributes_to_get,
                "QueryFilter": query_filter,
                "ConditionalOperator": conditional_operator,
            },
            ProjectionExpression=projection_expression,
            FilterExpression=filter_expression,
            KeyConditionExpression=key_condition_expression,
        )
        check_mixed({"KeyConditions": key_conditions}, KeyConditionExpression=key_condition_expression)
        table, index = self._source(table_name, index_name, consistent_read)
        schema = index.schema if index is not None else table.schema
        bindings = Bindings(
            expression_attribute_names,
            expression_attribute_values,
            expressions=any(
                each is not None for each in (key_condition_expression, filter_expression, projection_expression)
            ),
        )
        if key_condition_expression is not None:
            span = compile_key_condition(key_condition_expression, bindings, schema)
        elif key_conditions:
            span = legacy.key_span(key_conditions, schema)
        else:
            raise Invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
            )
        test = _filter(bindings, filter_expression, query_filter, conditional_operator, schema)
        project, whole = _projection(bindings, projection_expression, attributes_to_get, select, table, index)
        bindings.finish()
        after = checks.start(table, index, exclusive_start_key) if exclusive_start_key else None
        _check_start(exclusive_start_key)
        wanted = Wanted(table, index, span, forward=scan_index_forward, after=after, limit=limit, whole=whole)
        return self._answer(wanted, test, project, select, return_consumed_capacity, consistent_read)

    @answers()
    async def scan(
        self,
        call: Call,
        *,
        table_name: str,
        index_name: str | None = None,
        attributes_to_get: list[str] | None = None,
        limit: int | None = None,
        select: str | None = None,
        scan_filter: dict[str, Any] | None = None,
        conditional_operator: str | None = None,
        exclusive_start_key: Item | None = None,
        return_consumed_capacity: str | None = None,
        total_segments: int | None = None,
        segment: int | None = None,
        projection_expression: str | None = None,
        filter_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
        consistent_read: bool = False,
    ) -> Output:
        check_mixed(
            {
                "AttributesToGet": attributes_to_get,
                "ScanFilter": scan_filter,
                "ConditionalOperator": conditional_operator,
            },
            ProjectionExpression=projection_expression,
            FilterExpression=filter_expression,
        )
        table, index = self._source(table_name, index_name, consistent_read)
        bindings = Bindings(
            expression_attribute_names,
            expression_attribute_values,
            expressions=filter_expression is not None or projection_expression is not None,
        )
        test = _filter(bindings, filter_expression, scan_filter, conditional_operator, None)
        project, whole = _projection(bindings, projection_expression, attributes_to_get, select, table, index)
        bindings.finish()
        after = checks.start(table, index, exclusive_start_key) if exclusive_start_key else None
        _check_start(exclusive_start_key)
        wanted = Wanted(
            table, index, partitions=_segment(segment, total_segments), after=after, limit=limit, whole=whole
        )
        return self._answer(wanted, test, project, select, return_consumed_capacity, consistent_read)

    def _source(self, table_name: str, index_name: str | None, consistent: bool) -> tuple[Table, SecondaryIndex | None]:
        table = self._parts.table(table_name)
        if index_name is None:
            return table, None
        index = table.index(index_name)
        if index is None:
            raise not_of_the_table(index_name)
        if consistent and not index.local:
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        return table, index

    def _answer(
        self,
        wanted: Wanted,
        test: Test | None,
        project: Projection,
        select: str | None,
        consumed: str | None,
        consistent: bool,
    ) -> Output:
        check_within(wanted)
        found = page(self._index, wanted)
        items = [item for item in found.items if test(item)] if test is not None else found.items
        output: Output = {"Count": len(items), "ScannedCount": len(found.items)}
        if select != "COUNT":
            output["Items"] = [project(item) for item in items]
        if found.more:
            output["LastEvaluatedKey"] = checks.end(wanted.table, wanted.index, found.items[-1])
        units = capacity.read_units(found.size, consistent=consistent)
        own, indexes = (units, {}) if wanted.index is None else (0.0, {wanted.index.name: units})
        shown = capacity.shown(consumed, wanted.table, own, indexes)
        if shown is not None:
            output["ConsumedCapacity"] = shown
        return output


def _check_start(given: Item | None) -> None:
    if given is not None and not given:
        raise Invalid("The provided starting key is invalid: The provided key element does not match the schema")


def _segment(number: int | None, total: int | None) -> tuple[bytes, bytes | None]:
    if number is None and total is None:
        return b"", None
    if total is None:
        raise Invalid(
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present"
        )
    if number is None:
        raise Invalid(
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present"
        )
    if number >= total:
        raise Invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {number} is not less than TotalSegments: {total}"
        )
    return segment(number, total)


def _filter(
    bindings: Bindings,
    expression: str | None,
    older: dict[str, Any] | None,
    joined: str | None,
    schema: Schema | None,
) -> Test | None:
    if expression is not None:
        return compile_filter(expression, bindings, schema.names if schema is not None else ())
    if joined is not None and not older:
        raise Invalid("ConditionalOperator cannot be used without Filter or Expected")
    if not older:
        return None
    for name in older:
        if schema is not None and name in schema.names:
            raise Invalid(f"QueryFilter can only contain non-primary key attributes: Primary key attribute: {name}")
    return legacy.filtered(older, joined)


def _projection(
    bindings: Bindings,
    expression: str | None,
    attributes: list[str] | None,
    select: str | None,
    table: Table,
    index: SecondaryIndex | None,
) -> tuple[Projection, bool]:
    paths: list[Steps] | None = None
    project: Projection = lambda item: item  # noqa: E731
    if expression is not None:
        project, paths = compile_projection(expression, bindings)
    elif attributes is not None:
        paths = named(attributes)
        project = projection(paths)
    if paths is not None and select not in {None, "SPECIFIC_ATTRIBUTES"}:
        which = "ProjectionExpression" if expression is not None else "AttributesToGet"
        raise Invalid(f"Cannot specify the {which} when choosing to get {str(select).replace('_', ' ')}")
    if select == "SPECIFIC_ATTRIBUTES" and paths is None:
        raise Invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise Invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    return project, _check_projected(select, paths, table, index)


def _check_projected(select: str | None, paths: list[Steps] | None, table: Table, index: SecondaryIndex | None) -> bool:
    """Whether a local index has to give what it does not project. Raises Invalid."""
    names = index.projected(table.schema) if index is not None else None
    if names is None or index is None:
        return False
    missing = [str(steps[0]) for steps in paths or () if steps[0] not in names]
    if select != "ALL_ATTRIBUTES" and not missing:
        return False
    if index.local:
        return True
    raise Invalid(
        "One or more parameter values were invalid: "
        + (
            f"Global secondary index {index.name} does not project {missing}"
            if missing
            else f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because its "
            "projection type is not ALL"
        )
    )
