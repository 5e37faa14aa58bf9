"""The ``dynamoDB`` and ``dynamoDBv2`` actions: an item of a table, whose payload is one column, or a column for each
attribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, BadAction, Parameters, Sinks, TableSink, failed
from littoral.things.rules.items import attribute, parsed

OPERATIONS: Final = ("INSERT", "UPDATE", "DELETE")  # the item, its payload's column, nothing of it
_TYPES: Final = {"STRING": "S", "NUMBER": "N"}


def tables_of(sinks: Sinks) -> TableSink:
    """Raises ActionFailed."""
    if sinks.tables is None:
        raise ActionFailed("This place keeps no tables", passing=False)
    return sinks.tables


@dataclass(frozen=True, slots=True)
class _Key:
    field: Template
    value: Template
    kind: Template | None

    def attribute(self, context: Context) -> tuple[str, dict[str, Any]]:
        """Raises ActionFailed."""
        kind = "STRING" if self.kind is None else self.kind.evaluate(context)
        if kind not in _TYPES:
            raise ActionFailed(f"A key is a STRING or a NUMBER, not {kind[:100]!r}", passing=False)
        return self.field.evaluate(context), {_TYPES[kind]: self.value.evaluate(context)}


@dataclass(frozen=True, slots=True)
class DynamoAction:
    table: Template
    keys: tuple[_Key, ...]
    payload: Template | None  # the name of its column
    operation: Template | None
    kind: str = "DynamoAction"

    def resource(self, context: Context) -> str:
        return self.table.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        operation = "INSERT" if self.operation is None else self.operation.evaluate(context)
        if operation not in OPERATIONS:
            raise ActionFailed(f"The operation {operation[:100]!r} is none of {', '.join(OPERATIONS)}", passing=False)
        table, tables = self.resource(context), tables_of(sinks)
        key = dict(each.attribute(context) for each in self.keys)
        column = "payload" if self.payload is None else self.payload.evaluate(context)
        content = {column: attribute(parsed(selected.payload) if selected.is_json else selected.payload)}
        try:
            if operation == "INSERT":
                await tables.put(table, {**key, **content})
            else:
                await tables.change(table, key, content if operation == "UPDATE" else None)
        except Exception as error:
            raise failed(error) from error


@dataclass(frozen=True, slots=True)
class DynamoV2Action:
    table: Template
    kind: str = "DynamoDBv2Action"

    def resource(self, context: Context) -> str:
        return self.table.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        found = parsed(selected.payload) if selected.is_json else None
        if not isinstance(found, dict):
            raise ActionFailed("An item is made of a JSON object", passing=False)
        item = {name: attribute(value) for name, value in found.items()}
        try:
            await tables_of(sinks).put(self.resource(context), item)
        except Exception as error:
            raise failed(error) from error


def read(parameters: Parameters) -> Action:
    parameters.check(
        {"roleArn", "tableName", "hashKeyField", "hashKeyValue"},
        {"hashKeyType", "rangeKeyField", "rangeKeyValue", "rangeKeyType", "payloadField", "operation"},
    )
    operation = parameters.maybe("operation")
    if operation is not None and operation.constant and operation.text not in OPERATIONS:
        raise BadAction(f"dynamoDB.operation {operation.text!r} is none of {', '.join(OPERATIONS)}")
    keys = [_key(parameters, "hashKey")]
    if "rangeKeyField" in parameters.given or "rangeKeyValue" in parameters.given:
        keys.append(_key(parameters, "rangeKey"))
    return DynamoAction(parameters.template("tableName"), tuple(keys), parameters.maybe("payloadField"), operation)


def _key(parameters: Parameters, name: str) -> _Key:
    for part in ("Field", "Value"):
        if name + part not in parameters.given:
            raise BadAction(f"dynamoDB.{name}{part} is missing")
    kind = parameters.maybe(name + "Type")
    return _Key(parameters.template(name + "Field"), parameters.template(name + "Value"), kind)


def read_v2(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "putItem"})
    item = parameters.within("putItem")
    item.check({"tableName"})
    return DynamoV2Action(item.template("tableName"))
