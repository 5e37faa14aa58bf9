"""Where a function's ``publish`` goes: durably to the place above, by the spool, and to other functions of the core.

A message that no subscription takes is dropped, as on AWS's core, and the core's log says so once for each topic.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from littoral.core.lambdamanager.subscriptions import CLOUD, Subscription, is_end, subscriptions, targets
from littoral.core.nucleus.functions import FunctionComponents
from littoral.core.recipe import LambdaComponent
from littoral.core.routes import Routes
from littoral.core.spool import Spool
from littoral.store.contract import StreamFull

log = logging.getLogger(__name__)

MOST_TOLD = 1000  # topics that the log has named


class Full(Exception):
    """A queue has no room, and all were to have the message or none."""


class SubscriptionRouter:
    """``aws.greengrass.LegacySubscriptionRouter``, played by the core."""

    def __init__(self, functions: FunctionComponents, routes: Routes, spool: Spool) -> None:
        self._functions = functions
        self._routes = routes
        self._spool = spool
        self._subscribed: tuple[Subscription, ...] = ()
        self._told: set[tuple[str, str]] = set()

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        self._subscribed = () if configuration is None else subscriptions(configuration)
        self._told.clear()

    async def close(self) -> None:
        """Nothing runs."""

    async def publish(self, source: LambdaComponent, topic: str, payload: bytes, *, all_or_error: bool) -> None:
        """Durable with each target when it returns. A target that is full is left out, or with ``all_or_error`` raises
        Full before any has it. Raises StoreError: the disk."""
        found = targets(self._subscribed, source, topic)
        if not found:
            self._tell_once(source.name, topic)
        functions = [each for each in self._functions.all() if any(is_end(end, each) for end in found)]
        if all_or_error and (full := [each.name for each in functions if self._routes.is_full(each.name)]):
            raise Full(f"the queue of {', '.join(full)} is full")
        if CLOUD in found:
            await self._above(topic, payload, all_or_error=all_or_error)
        for each in functions:
            await self._hand(each, topic, payload)

    async def _above(self, topic: str, payload: bytes, *, all_or_error: bool) -> None:
        try:
            await self._spool.put(topic, payload)
        except StreamFull as problem:
            if all_or_error:
                raise Full(str(problem)) from problem
            log.warning("a message on %s is dropped: %s", topic, problem)

    async def _hand(self, component: LambdaComponent, topic: str, payload: bytes) -> None:
        try:
            await self._routes.offer(component.name, topic, payload)
        except StreamFull as problem:
            log.warning("a message on %s is dropped: %s", topic, problem)

    def _tell_once(self, source: str, topic: str) -> None:
        if (source, topic) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((source, topic))
            log.warning("%s publishes on %s, and no subscription takes it", source, topic)
