"""What the operations of CloudWatch Logs share: errors, names and ARNs of groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from littoral.aws.service import ServiceError, modelled
from littoral.functions.logs.group import Group
from littoral.functions.logs.store import Logs, NoGroup
from littoral.functions.names import Home

T = TypeVar("T")
NAME = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")


invalid = modelled("InvalidParameterException")


def no_group() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log group does not exist.", status=400)


def no_stream() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log stream does not exist.", status=400)


class Base:
    """Over one place's logs."""

    def __init__(self, logs: Logs, home: Home, clock: Callable[[], float]) -> None:
        self._logs = logs
        self._home = home
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _arn(self, group: str) -> str:
        return f"arn:aws:logs:{self._home.region}:{self._home.account}:log-group:{group}"

    def _group_of_arn(self, arn: str) -> str:
        """Of ``…:log-group:name`` or ``…:log-group:name:*``. Raises what a caller may hear."""
        start = self._arn("")
        if not arn.startswith("arn:aws:logs:"):
            raise invalid(f"Invalid resource ARN {arn[:200]}")
        if not arn.startswith(start):
            raise no_group()
        return arn.removeprefix(start).removesuffix(":*")

    def _named(self, name: str | None, identifier: str | None) -> str:
        """A group by its name or identifier (name or ARN), of which one is given."""
        if (name is None) == (identifier is None):
            raise invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
        if name is not None:
            return name
        assert identifier is not None
        found = self._group_of_arn(identifier) if identifier.startswith("arn:") else identifier
        if not NAME.fullmatch(found):
            raise invalid(f"{identifier[:200]} is not a log group's name or ARN.")
        return found

    async def _on(self, group: str, work: Callable[[Group], T]) -> T:
        try:
            return await self._logs.on(group, work)
        except NoGroup:
            raise no_group() from None
