"""TransactGetItems and TransactWriteItems: all at one moment, or nothing and the reasons."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import apsw

from littoral.aws.service import Call, Output, ServiceError
from littoral.protocols.dynamodb.bindings import Bindings
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.updates import compile_update
from littoral.tables import capacity, checks, reading
from littoral.tables.api.items import Prepared, check_only, condition, delete, projected, put, update
from littoral.tables.api.parts import Operations, Parts
from littoral.tables.errors import answers
from littoral.tables.writing import Written

MOST = 100
MOST_BYTES = 4 * 1024 * 1024
IDEMPOTENT = 600.0  # seconds
KINDS = ("ConditionCheck", "Put", "Delete", "Update")


@dataclass(frozen=True, slots=True)
class Repeated:
    """A transaction of that token that was done before."""


class TransactionOperations(Operations):
    @answers()
    async def transact_get_items(
        self, call: Call, *, transact_items: list[dict[str, Any]], return_consumed_capacity: str | None = None
    ) -> Output:
        _check_count(transact_items)
        wanted, projections = [], []
        for each in transact_items:
            get = each["Get"]
            table = self._parts.table(get["TableName"])
            wanted.append((table, checks.key(table, get["Key"])))
            projections.append(projected(None, get.get("ProjectionExpression"), get.get("ExpressionAttributeNames")))
        if len({(table.id, key) for table, key in wanted}) != len(wanted):
            raise Invalid("Transaction request cannot include multiple operations on one item")
        found = reading.items(self._index, wanted)
        if sum(size for _, size in found) > MOST_BYTES:
            raise Invalid("Collection size of items in the transaction exceeds the maximum of 4 MB")
        output: Output = {
            "Responses": [
                {"Item": project(item)} if item is not None else {}
                for project, (item, _) in zip(projections, found, strict=True)
            ]
        }
        if return_consumed_capacity in {"TOTAL", "INDEXES"}:
            units: dict[int, float] = {}
            for (table, _), (_, size) in zip(wanted, found, strict=True):
                more = capacity.read_units(size, consistent=True, transactional=True)
                units[table.id] = units.get(table.id, 0.0) + more
            tables = {table.id: table for table, _ in wanted}
            output["ConsumedCapacity"] = [
                capacity.shown(return_consumed_capacity, tables[number], total) for number, total in units.items()
            ]
        return output

    @answers()
    async def transact_write_items(
        self,
        call: Call,
        *,
        transact_items: list[dict[str, Any]],
        client_request_token: str | None = None,
        return_consumed_capacity: str | None = None,
    ) -> Output:
        _check_count(transact_items)
        digest = _digest(transact_items)
        writes = [_prepared(self._parts, each) for each in transact_items]
        if len({(each.table.id, each.key) for each in writes}) != len(writes):
            raise Invalid("Transaction request cannot include multiple operations on one item")

        def work(connection: apsw.Connection) -> list[Written] | Repeated:
            if client_request_token is not None and _known(connection, client_request_token, digest, call.now):
                return Repeated()
            return _all(connection, writes, call.now)

        tables = {each.table.id: each.table for each in writes}
        done = await self._index.write(work, *tables.values())
        if return_consumed_capacity not in {"TOTAL", "INDEXES"} or isinstance(done, Repeated):
            return {}
        by_table: dict[int, list[Written]] = {}
        for each in done:
            by_table.setdefault(each.table.id, []).append(each)
        return {
            "ConsumedCapacity": [
                capacity.written(return_consumed_capacity, of_table, transactional=True)
                for of_table in by_table.values()
            ]
        }


def _check_count(items: list[Any]) -> None:
    if not 1 <= len(items) <= MOST:
        raise Invalid(
            f"1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MOST} and at least 1, not {len(items)}"
        )


def _prepared(parts: Parts, given: dict[str, Any]) -> Prepared:
    """Raises Invalid, ResourceNotFoundException."""
    if len(given) != 1:
        raise Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    ((kind, each),) = given.items()
    table = parts.table(each["TableName"])
    on_failure = each.get("ReturnValuesOnConditionCheckFailure")
    expression = each.get("ConditionExpression")
    bindings = Bindings(
        each.get("ExpressionAttributeNames"),
        each.get("ExpressionAttributeValues"),
        expressions=expression is not None or "UpdateExpression" in each,
    )
    change = None
    if kind == "Update":
        change = compile_update(each["UpdateExpression"], bindings, table.schema.names)
    test = condition(bindings, expression)
    bindings.finish()
    if kind == "Put":
        return put(table, each["Item"], test, on_failure)
    if kind == "Delete":
        return delete(table, each["Key"], test, on_failure)
    if change is not None:
        return update(table, each["Key"], change, test, on_failure)
    assert test is not None  # the model requires a ConditionCheck's expression
    return check_only(table, each["Key"], test, on_failure)


def _all(connection: apsw.Connection, writes: list[Prepared], now: float) -> list[Written]:
    """Raises TransactionCanceledException: then none of it is kept."""
    done: list[Written] = []
    reasons: list[dict[str, Any]] = []
    for each in writes:
        try:
            done.append(each.run(connection, now))
            reasons.append({"Code": "None"})
        except Invalid as problem:
            reasons.append({"Code": "ValidationError", "Message": str(problem)})
        except ServiceError as problem:
            if problem.code != "ConditionalCheckFailedException":
                raise
            reasons.append({"Code": "ConditionalCheckFailed", "Message": problem.message, **problem.fields})
    if len(done) == len(writes):
        return done
    codes = ", ".join(reason["Code"] for reason in reasons)
    raise ServiceError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        status=400,
        fields={"CancellationReasons": reasons},
    )


def _known(connection: apsw.Connection, token: str, digest: bytes, now: float) -> bool:
    """Whether it was done before; a new token is taken. Raises IdempotentParameterMismatchException."""
    connection.execute("DELETE FROM tokens WHERE at <= ?", (now - IDEMPOTENT,))
    for (before,) in connection.execute("SELECT digest FROM tokens WHERE token = ?", (token,)):
        if before != digest:
            raise ServiceError(
                "IdempotentParameterMismatchException",
                "A request with the same client token had other parameters",
                status=400,
            )
        return True
    connection.execute("INSERT INTO tokens VALUES(?, ?, ?)", (token, digest, now))
    return False


def _digest(items: list[dict[str, Any]]) -> bytes:
    text = json.dumps(items, sort_keys=True, default=lambda value: value.hex())
    return hashlib.sha256(text.encode()).digest()
