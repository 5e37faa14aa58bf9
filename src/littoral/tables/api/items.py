"""PutItem, GetItem, UpdateItem, DeleteItem: one item, one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from littoral.aws.service import Call, Output
from littoral.protocols.dynamodb import legacy
from littoral.protocols.dynamodb.bindings import Bindings
from littoral.protocols.dynamodb.conditions import Test, compile_condition
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import Key
from littoral.protocols.dynamodb.projections import Projection, compile_projection, projection
from littoral.protocols.dynamodb.projections import attributes as named
from littoral.protocols.dynamodb.updates import Change, compile_update
from littoral.protocols.dynamodb.values import Item, settle_item
from littoral.tables import capacity, checks, reading
from littoral.tables.api.parts import Operations
from littoral.tables.errors import answers, failed_condition
from littoral.tables.table import Table
from littoral.tables.writing import Decide, Written, write


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that waits for its transaction."""

    table: Table
    key: Key
    decide: Decide
    change: Change | None = None

    def run(self, connection: apsw.Connection, now: float) -> Written:
        return write(connection, self.table, self.key, self.decide, now)


class ItemOperations(Operations):
    @answers()
    async def put_item(
        self,
        call: Call,
        *,
        table_name: str,
        item: Item,
        expected: dict[str, Any] | None = None,
        return_values: str | None = None,
        return_consumed_capacity: str | None = None,
        conditional_operator: str | None = None,
        condition_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
        return_values_on_condition_check_failure: str | None = None,
    ) -> Output:
        check_choice("returnValues", return_values, ("NONE", "ALL_OLD"))
        names, values = expression_attribute_names, expression_attribute_values
        test = _sole_condition(condition_expression, names, values, expected, conditional_operator)
        prepared = put(self._parts.table(table_name), item, test, return_values_on_condition_check_failure)
        done = await self._write(prepared, call)
        return _answer(done, return_values, return_consumed_capacity)

    @answers()
    async def delete_item(
        self,
        call: Call,
        *,
        table_name: str,
        key: Item,
        expected: dict[str, Any] | None = None,
        return_values: str | None = None,
        return_consumed_capacity: str | None = None,
        conditional_operator: str | None = None,
        condition_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
        return_values_on_condition_check_failure: str | None = None,
    ) -> Output:
        check_choice("returnValues", return_values, ("NONE", "ALL_OLD"))
        names, values = expression_attribute_names, expression_attribute_values
        test = _sole_condition(condition_expression, names, values, expected, conditional_operator)
        prepared = delete(self._parts.table(table_name), key, test, return_values_on_condition_check_failure)
        done = await self._write(prepared, call)
        return _answer(done, return_values, return_consumed_capacity)

    @answers()
    async def update_item(
        self,
        call: Call,
        *,
        table_name: str,
        key: Item,
        attribute_updates: dict[str, Any] | None = None,
        expected: dict[str, Any] | None = None,
        conditional_operator: str | None = None,
        return_values: str | None = None,
        return_consumed_capacity: str | None = None,
        update_expression: str | None = None,
        condition_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
        return_values_on_condition_check_failure: str | None = None,
    ) -> Output:
        check_mixed(
            {"AttributeUpdates": attribute_updates, "Expected": expected, "ConditionalOperator": conditional_operator},
            UpdateExpression=update_expression,
            ConditionExpression=condition_expression,
        )
        table = self._parts.table(table_name)
        bindings = Bindings(
            expression_attribute_names,
            expression_attribute_values,
            expressions=update_expression is not None or condition_expression is not None,
        )
        change = Change()
        if update_expression is not None:
            change = compile_update(update_expression, bindings, table.schema.names)
        elif attribute_updates:
            change = legacy.update(attribute_updates, table.schema.names)
        test = condition(bindings, condition_expression, expected, conditional_operator)
        bindings.finish()
        prepared = update(table, key, change, test, return_values_on_condition_check_failure)
        done = await self._write(prepared, call)
        return _answer(done, return_values, return_consumed_capacity, change)

    @answers()
    async def get_item(
        self,
        call: Call,
        *,
        table_name: str,
        key: Item,
        attributes_to_get: list[str] | None = None,
        consistent_read: bool = False,
        return_consumed_capacity: str | None = None,
        projection_expression: str | None = None,
        expression_attribute_names: dict[str, str] | None = None,
    ) -> Output:
        table = self._parts.table(table_name)
        project = projected(attributes_to_get, projection_expression, expression_attribute_names)
        found, size = reading.item(self._index, table, checks.key(table, key))
        output: Output = {}
        if found is not None:
            output["Item"] = project(found)
        units = capacity.read_units(size, consistent=consistent_read)
        consumed = capacity.shown(return_consumed_capacity, table, units)
        if consumed is not None:
            output["ConsumedCapacity"] = consumed
        return output

    async def _write(self, prepared: Prepared, call: Call) -> Written:
        return await self._index.write(lambda connection: prepared.run(connection, call.now), prepared.table)


# ---------------------------------------------------------------------------------------------------- preparing


def put(table: Table, item: Item, test: Test | None, on_failure: str | None) -> Prepared:
    """Raises Invalid."""
    settle_item(item)
    key = checks.key_of_item(table, item)

    def decide(old: Item | None) -> Item:
        check_condition(test, old, on_failure)
        return item

    return Prepared(table, key, decide)


def delete(table: Table, given: Item, test: Test | None, on_failure: str | None) -> Prepared:
    """Raises Invalid."""

    def decide(old: Item | None) -> None:
        check_condition(test, old, on_failure)

    return Prepared(table, checks.key(table, given), decide)


def update(table: Table, given: Item, change: Change, test: Test | None, on_failure: str | None) -> Prepared:
    """Raises Invalid."""
    key = checks.key(table, given)

    def decide(old: Item | None) -> Item | None:
        check_condition(test, old, on_failure)
        if old is None and change.only_removes:
            return None
        return change.apply(old if old is not None else dict(given))

    return Prepared(table, key, decide, change)


def check_only(table: Table, given: Item, test: Test, on_failure: str | None) -> Prepared:
    """ConditionCheck of a transaction. Raises Invalid."""

    def decide(old: Item | None) -> Item | None:
        check_condition(test, old, on_failure)
        return old

    return Prepared(table, checks.key(table, given), decide)


def check_condition(test: Test | None, old: Item | None, on_failure: str | None) -> None:
    """Raises ConditionalCheckFailedException."""
    if test is not None and not test(old or {}):
        raise failed_condition(old if on_failure == "ALL_OLD" else None)


def condition(
    bindings: Bindings, expression: str | None, expected: dict[str, Any] | None = None, joined: str | None = None
) -> Test | None:
    """Raises Invalid."""
    if expression is not None:
        return compile_condition(expression, bindings)
    if joined is not None and not expected:
        raise Invalid("ConditionalOperator cannot be used without Filter or Expected")
    return legacy.expected(expected, joined) if expected else None


def projected(attributes: list[str] | None, expression: str | None, names: dict[str, str] | None) -> Projection:
    """What of an item is wanted. Raises Invalid."""
    check_mixed({"AttributesToGet": attributes}, ProjectionExpression=expression)
    bindings = Bindings(names, None, expressions=expression is not None)
    if attributes is not None:
        return projection(named(attributes))
    if expression is None:
        return lambda item: item
    found, _ = compile_projection(expression, bindings)
    bindings.finish()
    return found


# ---------------------------------------------------------------------------------------------------- checking


def check_choice(member: str, given: str | None, allowed: tuple[str, ...]) -> None:
    """Raises Invalid."""
    if given is not None and given not in allowed:
        raise Invalid(
            f"1 validation error detected: Value '{given[:100]}' at '{member}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )


def check_mixed(old: dict[str, Any], **new: Any) -> None:
    """Raises Invalid where parameters of both kinds are given."""
    older = [name for name, value in old.items() if value is not None]
    newer = [name for name, value in new.items() if value is not None]
    if older and newer:
        raise Invalid(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(older)}}} Expression parameters: {{{', '.join(newer)}}}"
        )


def _sole_condition(
    expression: str | None,
    names: dict[str, str] | None,
    values: dict[str, Any] | None,
    expected: dict[str, Any] | None,
    operator: str | None,
) -> Test | None:
    """Of a request that has no other expression. Raises Invalid."""
    check_mixed({"Expected": expected, "ConditionalOperator": operator}, ConditionExpression=expression)
    bindings = Bindings(names, values, expressions=expression is not None)
    test = condition(bindings, expression, expected, operator)
    bindings.finish()
    return test


def _answer(done: Written, wanted: str | None, consumed: str | None, change: Change | None = None) -> Output:
    output: Output = {}
    attributes = _returned(done, wanted, change)
    if attributes:
        output["Attributes"] = attributes
    units = capacity.written(consumed, [done])
    if units is not None:
        output["ConsumedCapacity"] = units
    return output


def _returned(done: Written, wanted: str | None, change: Change | None) -> Item | None:
    if wanted == "ALL_OLD":
        return done.old
    if wanted == "ALL_NEW":
        return done.new
    if wanted in {"UPDATED_OLD", "UPDATED_NEW"} and change is not None:
        item = done.old if wanted == "UPDATED_OLD" else done.new
        return projection(change.paths)(item) if item is not None and change.paths else None
    return None
