"""DynamoDB's modelled errors, and how an operation answers with them."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from littoral.aws.service import Output, ServiceError, modelled, operation
from littoral.protocols.dynamodb.errors import Invalid
from littoral.store.contract import StoreError

Answer = Callable[..., Awaitable[Output]]


invalid = modelled("ValidationException")


def no_such_table(name: str | None = None) -> ServiceError:
    detail = f": Table: {name} not found" if name else ""
    return ServiceError("ResourceNotFoundException", f"Requested resource not found{detail}", status=400)


def no_such_arn(arn: str) -> ServiceError:
    message = f"Requested resource not found: ResourceArn: {arn[:300]} not found"
    return ServiceError("ResourceNotFoundException", message, status=400)


def no_such_index(name: str) -> ServiceError:
    return ServiceError(
        "ResourceNotFoundException", f"Requested resource not found: Index: {name} not found", status=400
    )


def not_of_the_table(index: str) -> Invalid:
    return Invalid(f"The table does not have the specified index: {index[:255]}")


in_use = modelled("ResourceInUseException")
limit = modelled("LimitExceededException")


def failed_condition(item: dict[str, Any] | None = None) -> ServiceError:
    fields = {"Item": item} if item else {}
    return ServiceError("ConditionalCheckFailedException", "The conditional request failed", status=400, fields=fields)


def answers(*, notes: str = "", harmless: set[str] | None = None) -> Callable[[Answer], Answer]:
    """An operation of DynamoDB: what the language or the disk refuses is answered in the API's errors."""

    def mark(method: Answer) -> Answer:
        @functools.wraps(method)
        async def answered(*args: Any, **given: Any) -> Output:
            try:
                return await method(*args, **given)
            except Invalid as problem:
                raise invalid(str(problem)) from None
            except StoreError as problem:
                raise ServiceError("InternalServerError", f"The storage failed: {problem}", status=500) from problem

        return operation(notes=notes, harmless=harmless)(answered)

    return mark
